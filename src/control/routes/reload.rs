//! Another configuration.

use crate::control::call::Call;
use axum::body::Body;
use axum::http::Response;

/// `POST /v1/reload`: reads the configuration's file again. The recorder does it; what it refuses leaves all as it was.
pub async fn reload(call: Call) -> Response<Body> {
    match call.shared.reloads.ask().await {
        Ok((200, text)) => call.answer_text(text),
        Ok(refused) | Err(refused) => call.refuse(refused),
    }
}
