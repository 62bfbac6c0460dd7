//! Datasheets: consistent with their own clocks, named by what drivers report, refused where wrong.

use rooflint::hardware::{self, HardwareError, Rate};
use rooflint::units::{ByteCount, Hertz};

#[test]
fn every_gpu_asked_for_is_there() {
    let ids: Vec<String> = hardware::catalogue().unwrap().into_iter().map(|gpu| gpu.id).collect();
    let wanted = [
        "a100_sxm_40gb",
        "a100_sxm_80gb",
        "a100_pcie_40gb",
        "a100_pcie_80gb",
        "h100_sxm",
        "h100_pcie",
        "h100_nvl",
        "h200_sxm",
        "l4",
        "l40s",
        "rtx_4090",
        "mi300x",
        "b200_sxm",
    ];
    assert_eq!(ids, wanted);
}

#[test]
fn peaks_follow_from_units_and_clocks() {
    for gpu in hardware::catalogue().unwrap() {
        for (rate, peak) in &gpu.peaks {
            let clock = Hertz::new(peak.clock_mhz * 1e6).unwrap();
            let computed = gpu.peak_at(*rate, clock).unwrap().get();
            let stated = gpu.peak(*rate).unwrap().get();
            let off = (computed / stated - 1.0).abs();
            // A datasheet rounds to two or three digits.
            assert!(off <= 0.006, "{} {}: {computed:e} from its clock, {stated:e} stated", gpu.id, rate.name());
            assert!(peak.clock_mhz <= gpu.boost_mhz, "{} {}", gpu.id, rate.name());
        }
        assert!(gpu.source.len() > 10, "{} has no source", gpu.id);
        assert_eq!(gpu.peak(Rate::F16), gpu.peak(Rate::Bf16), "{}", gpu.id);
    }
}

#[test]
fn dense_figures_not_sparse_ones() {
    let told = |id: &str, rate| hardware::find(id).unwrap().peak(rate).map(|peak| peak.get() / 1e12);
    assert_eq!(told("h100_sxm", Rate::F16), Some(989.4));
    assert_eq!(told("h100_sxm", Rate::Fp8), Some(1978.9));
    assert_eq!(told("a100_sxm_80gb", Rate::F16), Some(312.0));
    assert_eq!(told("a100_sxm_80gb", Rate::Fp8), None);
    assert_eq!(told("l4", Rate::F16), Some(121.0));
    assert_eq!(told("mi300x", Rate::F16), Some(1307.4));
    // The published crossovers of both generations, in FLOP per byte.
    let ridge = |id: &str| {
        let gpu = hardware::find(id).unwrap();
        gpu.peak(Rate::F16).unwrap().ridge(gpu.bandwidth().unwrap()).unwrap().get().round()
    };
    assert_eq!((ridge("a100_sxm_40gb"), ridge("a100_sxm_80gb"), ridge("h100_sxm")), (201.0, 153.0, 295.0));
}

#[test]
fn capacity_has_two_sizes() {
    let gpu = hardware::find("A100-SXM-40GB").unwrap();
    assert_eq!(gpu.capacity_sold(), ByteCount(40_000_000_000));
    assert_eq!(gpu.capacity_reported(), Some(ByteCount::gib(40)));
    for gpu in hardware::catalogue().unwrap() {
        let reported = gpu.capacity_reported().unwrap().0 as f64 / gpu.capacity_sold().0 as f64;
        // HBM parts hold what they say in binary units, less what is kept back; GDDR parts a little more than decimal.
        assert!((1.0..1.075).contains(&reported), "{}: {reported}", gpu.id);
    }
}

#[test]
fn a_device_is_identified_by_its_whole_name() {
    let id = |name: &str| hardware::identify(name).unwrap().map(|gpu| gpu.id);
    assert_eq!(id("NVIDIA A100-SXM4-40GB").as_deref(), Some("a100_sxm_40gb"));
    assert_eq!(id("NVIDIA A100-SXM4-80GB").as_deref(), Some("a100_sxm_80gb"));
    assert_eq!(id("A100-PCIE-40GB").as_deref(), Some("a100_pcie_40gb"));
    assert_eq!(id("NVIDIA H100 80GB HBM3").as_deref(), Some("h100_sxm"));
    assert_eq!(id("NVIDIA H100 PCIe").as_deref(), Some("h100_pcie"));
    assert_eq!(id("AMD Instinct MI300X").as_deref(), Some("mi300x"));
    assert_eq!(id("NVIDIA A100"), None);
    assert_eq!(id("NVIDIA L40"), None);
    // No device name stands for two SKUs.
    let gpus = hardware::catalogue().unwrap();
    for gpu in &gpus {
        for name in &gpu.device_names {
            assert_eq!(id(name).as_deref(), Some(gpu.id.as_str()));
        }
    }
}

#[test]
fn prices_are_dated_sourced_and_about_known_gpus() {
    let gpus = hardware::catalogue().unwrap();
    let prices = hardware::prices().unwrap();
    for price in &prices {
        assert!(price.as_of.starts_with("20") && !price.source.is_empty());
        assert!(price.usd_per_hour.is_some() != price.usd_to_buy.is_some(), "{}", price.source);
        for id in &price.gpus {
            assert!(gpus.iter().any(|gpu| &gpu.id == id), "{id}");
        }
        let span = price.usd_per_hour.or(price.usd_to_buy).unwrap();
        assert!(span.low.get() > 0.0 && span.low <= span.high);
    }
    let of = |id: &str| -> Vec<f64> {
        let about = prices.iter().filter(|price| price.gpus.iter().any(|gpu| gpu == id));
        about.filter_map(|price| price.usd_per_hour).map(|span| span.low.get()).collect()
    };
    assert_eq!(of("a100_sxm_80gb"), [1.0, 1.5, 3.93]);
}

#[test]
fn a_bad_datasheet_names_its_line() {
    let good = include_str!("../../src/hardware/gpus.toml");
    let line = |from: &str, to: &str| match hardware::parse_toml(&good.replacen(from, to, 1), "my.toml").unwrap_err() {
        HardwareError::File { file, line, problem } => {
            assert_eq!(file, "my.toml");
            (line, problem)
        }
        other => panic!("{other}"),
    };
    let at = |what: &str| 1 + good.lines().position(|line| line.starts_with(what)).unwrap();
    assert_eq!(line("units = 108", "units = \"many\"").0, at("units"));
    let (found, problem) = line("units = 108", "unit = 108");
    assert_eq!(found, at("units"), "{problem}");
    let (found, problem) = line("bandwidth_gb_s = 1555", "bandwidth_gb_s = -1555");
    assert_eq!(found, at("[[gpu]]"));
    assert!(problem.contains("bandwidth_gb_s") && problem.contains("a100_sxm_40gb"), "{problem}");
    let (_, problem) = line("bf16 =", "bf15 =");
    assert!(problem.contains("bf15"), "{problem}");
    let error = hardware::find("a100").unwrap_err().to_string();
    assert!(error.contains("a100_sxm_40gb"), "{error}");
}
