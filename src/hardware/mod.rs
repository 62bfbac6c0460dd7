//! Datasheets.
