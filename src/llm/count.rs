//! stub
/// a
pub struct Operation;
/// a
pub struct Step;
/// a
pub struct StepCount;
/// a
pub struct Widths;
