//! Routes that lanes can call, and the handlers that turn into them.

mod driven;
mod into_routes;

pub use driven::Driven;
pub use into_routes::{AsHandler, AsRoutes, AsService, HandlerService, IntoRoutes, OneRoute};
