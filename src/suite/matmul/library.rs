//! Whose code multiplies: the vendor's library where a device has one, and rooflint's own kernels.

use super::{Profile, Request, Shape, Stop, Sums};
use crate::device::{Device, DeviceError, Provider};
use crate::record::{AxisValue, Case, DeviceInfo, Precision};
use crate::suite::has;

/// The axis, and the word for our own kernels.
const AXIS: &str = "library";
const OWN: &str = "own";
/// The axis of how sums are made.
const SUMS: &str = "accumulate";

/// The vendor's library on a device, with its version, as the device's features name it.
pub(super) fn name(device: &DeviceInfo) -> Option<&str> {
    device.features.iter().map(String::as_str).find(|feature| feature.starts_with("cublaslt_"))
}

/// The cases with every way to make sums: the user's where given, else the usual one, and where there is a library and
/// time, the unusual ones of the largest square products.
pub(super) fn with_sums(cases: Vec<Case>, device: &DeviceInfo, request: &Request) -> Vec<Case> {
    if let Some(asked) = request.axes.get(SUMS) {
        return cases.iter().flat_map(|case| asked.iter().map(|sums| case.with(SUMS, sums.clone()))).collect();
    }
    if name(device).is_none() || request.profile == Profile::Quick || !request.shapes.is_empty() {
        return cases;
    }
    let largest = cases.iter().filter_map(square).max();
    let unusual = |case: &Case| match case.word("precision") {
        _ if square(case).is_none() || square(case) != largest => None,
        Some("f16") => Some(case.with(SUMS, "f16")),
        Some("fp8_e4m3") => Some(case.with(SUMS, "full")),
        _ => None,
    };
    cases.iter().flat_map(|case| [Some(case.clone()), unusual(case)]).flatten().collect()
}

/// The cases with whose code computes them. A device without matrix units has one way, which is not named.
pub(super) fn by_libraries(cases: Vec<Case>, device: &DeviceInfo, request: &Request) -> Vec<Case> {
    if !has(device, "matrix_units") {
        return cases;
    }
    let asked = request.axes.get(AXIS);
    let under = |case: &Case| -> Vec<Case> {
        let wanted = |word: &str, usual: bool| asked.map_or(usual, |words| words.contains(&AxisValue::from(word)));
        let vendors = wanted("vendor", name(device).is_some());
        let own = wanted(OWN, has_own(case) && (name(device).is_none() || is_compared(case, request)));
        // Where there is none, the case says so when it is prepared.
        let library = vendors.then(|| name(device).unwrap_or("vendor"));
        library.into_iter().chain(own.then_some(OWN)).map(|word| case.with(AXIS, word)).collect()
    };
    cases.iter().flat_map(under).collect()
}

/// Whether a case tells what users get: by the vendor's library where there is one.
pub(super) fn speaks(case: &Case, device: &DeviceInfo) -> bool {
    name(device).is_none() || case.word(AXIS) != Some(OWN)
}

/// Whether there may be a kernel of ours.
fn has_own(case: &Case) -> bool {
    case.word(SUMS).is_none() && !matches!(case.word("precision"), Some("tf32" | "i8"))
}

/// Whether our own kernels are measured beside the library's: as a second opinion, where products are large or of one
/// row. In a full run always.
fn is_compared(case: &Case, request: &Request) -> bool {
    let precision = case.word("precision").unwrap_or_default();
    let large = square(case).is_some_and(|side| side >= 4096 || request.profile == Profile::Standard);
    match request.profile {
        _ if !request.shapes.is_empty() => false,
        Profile::Full => true,
        Profile::Standard => large || case.count("m") == Some(1),
        Profile::Quick => ["bf16", "fp8_e4m3"].contains(&precision) && (large || case.count("m") == Some(1)),
    }
}

/// The side of a square product.
fn square(case: &Case) -> Option<u64> {
    let [m, n, k] = ["m", "n", "k"].map(|side| case.count(side));
    m.filter(|_| m == n && n == k)
}

/// Who computes the product: whom the case names; where it names nobody, the library that users would call, if there is one.
pub(super) fn provider(case: &Case, shape: &Shape, device: &mut dyn Device) -> Result<Provider, Stop> {
    if shape.sums == Some(Sums::Full) && shape.precision != Precision::Fp8E4m3 {
        return Err(Stop::Skip(format!("sums of {} lose nothing that accumulate=full would keep", shape.precision)));
    }
    let providers: &[Provider] = match case.word(AXIS) {
        Some(OWN) => &[Provider::Own],
        Some(named) => {
            if let Some(here) = name(device.info()).filter(|here| *here != named && named != "vendor") {
                return Err(Stop::Skip(format!("the case is one of {named}; here is {here}")));
            }
            &[Provider::Vendor]
        }
        None => &[Provider::Vendor, Provider::Own],
    };
    for (left, provider) in (0..providers.len()).rev().zip(providers) {
        match device.options(&shape.step(*provider)) {
            Ok(ways) if ways.is_empty() => {}
            Ok(_) => return Ok(*provider),
            // What one lacks another may have.
            Err(DeviceError::Unsupported(_)) if left > 0 => {}
            Err(error) => return Err(error.into()),
        }
    }
    let Shape { m, n, k, precision, .. } = shape;
    let whose = case.word(AXIS).map(|library| format!(" by {library}")).unwrap_or_default();
    let sums = if shape.accumulate() == Precision::F16 { " with sums in f16" } else { "" };
    Err(Stop::Skip(format!("the device has no matrix product of {precision}{sums} with {m} x {n} x {k}{whose}")))
}
