//! The one integration crate: one module per part of the product.
