//! Another configuration.

use crate::control::call::Call;
use axum::body::Body;
use axum::http::Response;

/// `POST /v1/reload`: reads the configuration's file again. The control thread does it; what it refuses leaves all as it was.
pub async fn reload(call: Call) -> Response<Body> {
    let Some(told) = call.shared.reloads.ask() else {
        return call.refuse((503, "other reloads wait: try again in a moment".into()));
    };
    match told.await {
        Ok(Ok(done)) => call.answer(&done),
        Ok(Err(why)) => call.refuse(why),
        Err(_) => call.refuse((503, "the recorder ends".into())),
    }
}
