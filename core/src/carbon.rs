//! Carbon.
