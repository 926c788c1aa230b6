//! Another configuration.

use crate::control::call::Call;
use crate::messages::NoAnswer;
use axum::body::Body;
use axum::http::Response;

/// `POST /v1/reload`: reads the configuration's file again. The recorder does it; what it refuses leaves all as it was.
pub async fn reload(call: Call) -> Response<Body> {
    match call.shared.capture.reload().await {
        Ok((200, text)) => call.answer_text(text),
        Ok((status, why)) => call.refuse((status, why)),
        Err(NoAnswer::Busy) => call.refuse((503, "other reloads wait: try again in a moment".into())),
        Err(why) => call.refuse((503, why.to_string())),
    }
}
