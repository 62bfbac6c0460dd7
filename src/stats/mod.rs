//! Order statistics, intervals, stopping rules: pure functions of numbers.
