//! Datasheets and prices by name: the embedded ones, and TOML files of the same form.

use serde::Deserialize;

use super::{Gpu, Price};

const GPUS: &str = include_str!("gpus.toml");
const PRICES: &str = include_str!("prices.toml");

/// Why a GPU cannot be read or found.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum HardwareError {
    /// A file that is not what it should be.
    #[error("{file}:{line}: {problem}")]
    File {
        /// Its name, as the caller gave it.
        file: String,
        /// Where, counted from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// No such GPU.
    #[error("no datasheet of a GPU `{id}`; there are: {known}; or give a TOML file with its datasheet")]
    Unknown {
        /// What was asked for.
        id: String,
        /// What there is.
        known: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GpuFile {
    gpu: Vec<Gpu>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceFile {
    price: Vec<Price>,
}

/// Every datasheet.
///
/// # Errors
/// [`HardwareError::File`] if the embedded file is damaged, which a test rules out.
pub fn catalogue() -> Result<Vec<Gpu>, HardwareError> {
    parse_toml(GPUS, "gpus.toml")
}

/// Every stated price.
///
/// # Errors
/// [`HardwareError::File`] if the embedded file is damaged, which a test rules out.
pub fn prices() -> Result<Vec<Price>, HardwareError> {
    let file: PriceFile = toml::from_str(PRICES).map_err(|error| file_error(&error, PRICES, "prices.toml"))?;
    Ok(file.price)
}

/// The datasheet with this id. Upper and lower case, and `-`, space and `_` are one.
///
/// # Errors
/// [`HardwareError::Unknown`], listing what there is.
pub fn find(id: &str) -> Result<Gpu, HardwareError> {
    let one = |character: char| if matches!(character, '-' | ' ') { '_' } else { character.to_ascii_lowercase() };
    let wanted: String = id.chars().map(one).collect();
    let mut gpus = catalogue()?;
    match gpus.iter().position(|gpu| gpu.id == wanted) {
        Some(at) => Ok(gpus.swap_remove(at)),
        None => {
            let known: Vec<&str> = gpus.iter().map(|gpu| gpu.id.as_str()).collect();
            Err(HardwareError::Unknown { id: id.to_owned(), known: known.join(", ") })
        }
    }
}

/// The datasheet of the device a driver names so, whole: `NVIDIA A100-SXM4-40GB` is one SKU, `NVIDIA A100` none,
/// since a wrong SKU's ceilings are worse than no ceilings.
///
/// # Errors
/// [`HardwareError::File`] if the embedded file is damaged.
pub fn identify(device_name: &str) -> Result<Option<Gpu>, HardwareError> {
    let name = device_name.trim();
    let name = ["NVIDIA ", "AMD "].iter().find_map(|maker| name.strip_prefix(maker)).unwrap_or(name);
    Ok(catalogue()?.into_iter().find(|gpu| gpu.device_names.iter().any(|known| known.eq_ignore_ascii_case(name))))
}

/// The datasheets of a TOML file in the embedded form: a `[[gpu]]` block each. `name` stands for the file in
/// messages.
///
/// # Errors
/// [`HardwareError::File`] with the line.
pub fn parse_toml(text: &str, name: &str) -> Result<Vec<Gpu>, HardwareError> {
    let file: GpuFile = toml::from_str(text).map_err(|error| file_error(&error, text, name))?;
    let blocks = text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with("[[gpu]]"));
    for (gpu, (header, _)) in file.gpu.iter().zip(blocks) {
        let figures = [
            ("units", f64::from(gpu.units)),
            ("boost_mhz", gpu.boost_mhz),
            ("capacity_gb", gpu.capacity_gb),
            ("bandwidth_gb_s", gpu.bandwidth_gb_s),
            ("power_w", gpu.power_w),
            ("link.gb_s", gpu.link.gb_s),
        ];
        let peaks = gpu.peaks.iter().map(|(rate, peak)| (rate.name(), peak.tflop_s.min(peak.clock_mhz)));
        let usable = |figure: f64| figure.is_finite() && figure > 0.0;
        if let Some((what, figure)) = figures.into_iter().chain(peaks).find(|(_, figure)| !usable(*figure)) {
            let problem = format!("`{what}` of `{}` is {figure}; a datasheet states more than zero", gpu.id);
            return Err(HardwareError::File { file: name.to_owned(), line: header + 1, problem });
        }
    }
    Ok(file.gpu)
}

fn file_error(error: &toml::de::Error, text: &str, name: &str) -> HardwareError {
    let before = error.span().map_or("", |span| text.get(..span.start).unwrap_or(text));
    let line = 1 + before.bytes().filter(|&byte| byte == b'\n').count();
    HardwareError::File { file: name.to_owned(), line, problem: error.message().to_owned() }
}
