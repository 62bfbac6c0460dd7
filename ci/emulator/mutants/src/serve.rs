//! The process that tries kernels: it holds the emulated device, and answers a line for each line that it is given.
//!
//! Where kernels are put for the emulator to take is the folder of `ROOFLINT_EMULATOR_PTX`; whoever starts this
//! process puts them there.

use std::io::{BufRead, Write, stdin, stdout};
use std::path::{Path, PathBuf};

use crate::trial::{Bench, Verdict};

/// What answers begin with.
pub const READY: &str = "ready";
pub const RIGHT: &str = "right";
pub const WRONG: &str = "wrong";
pub const LOST: &str = "lost";

/// A kernel of the arguments of `pattern` that does nothing: opening a device compares its clocks while this fills
/// memory, which need not take seconds.
const IDLE: &str = ".version 7.0
.target sm_80
.address_size 64
.visible .entry pattern(.param .u64 out, .param .u64 words, .param .u32 kind, .param .u32 value, .param .u64 seed)
{
    ret;
}
";

/// Behind the names of what is to be tried on its first cases alone.
pub const BRIEF: &str = " brief";

/// Opens the device and tries what it is told to, `KERNEL ENTRY` or `KERNEL ENTRY brief` a line, until there is no more or the device is lost.
pub fn serve() -> Result<(), String> {
    let folder = PathBuf::from(std::env::var_os("ROOFLINT_EMULATOR_PTX").ok_or("no folder of kernels")?);
    let idle = file(&folder, "pattern");
    std::fs::write(&idle, IDLE).map_err(|why| why.to_string())?;
    let (backend, rest) = rooflint::device::select("cuda:0").map_err(|why| why.to_string())?;
    let opened = (backend.open)(rest);
    std::fs::remove_file(&idle).map_err(|why| why.to_string())?;
    let mut bench = match opened {
        Ok(device) => {
            say(READY, "");
            Bench::new(device)
        }
        Err(why) => {
            say(LOST, &why.to_string());
            return Ok(());
        }
    };
    for line in stdin().lock().lines() {
        let line = line.map_err(|why| why.to_string())?;
        let (line, brief) = line.strip_suffix(BRIEF).map_or((line.as_str(), false), |line| (line, true));
        let (kernel, entry) = line.split_once(' ').ok_or("no entry point")?;
        let (replaced, kept) = (file(&folder, entry), folder.join("aside"));
        let aside = |work: &mut dyn FnMut()| {
            let moved = std::fs::rename(&replaced, &kept).is_ok();
            work();
            if moved {
                let _ = std::fs::rename(&kept, &replaced);
            }
        };
        match bench.trial(kernel, entry, brief, &aside) {
            Verdict::Right => say(RIGHT, ""),
            Verdict::Wrong(why) => say(WRONG, &why),
            Verdict::Lost(why) => {
                say(LOST, &why);
                // Nothing can be given back to a device that is lost.
                std::process::exit(0);
            }
        }
    }
    Ok(())
}

/// The file that an entry point is taken from.
pub fn file(folder: &Path, entry: &str) -> PathBuf {
    folder.join(format!("{entry}.ptx"))
}

fn say(what: &str, why: &str) {
    println!("{what} {}", why.replace('\n', " "));
    // Whoever listens may have gone.
    let _ = stdout().flush();
}
