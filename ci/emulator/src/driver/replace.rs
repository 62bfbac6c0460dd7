//! Kernels taken from files: with `ROOFLINT_EMULATOR_PTX` = a folder, an entry point `name` of any module comes from
//! `name.ptx` there, if that file exists when a program asks for the function. So a program can be given another
//! kernel than the one that it carries, and each time it asks a new one. One without the entry point hides it.

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use super::module::{self, FUNCTIONS};
use super::{Answer, Handle, lock};
use crate::code;
use crate::driver::context::Context;

/// A function that was given out in place of a program's own, and the text that it was made from.
struct Replaced {
    device: u32,
    name: String,
    text: String,
    function: Handle,
}

static REPLACED: Mutex<Vec<Replaced>> = Mutex::new(Vec::new());

fn folder() -> Option<&'static PathBuf> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER.get_or_init(|| std::env::var_os("ROOFLINT_EMULATOR_PTX").map(PathBuf::from)).as_ref()
}

/// The function that stands in for the one of a name; `None` where the program's own is to be had. Each file is a
/// module of its own, with variables of its own.
pub fn function(context: &Context, name: &str) -> Answer<Option<Handle>> {
    let Some(text) = folder().and_then(|folder| std::fs::read_to_string(folder.join(format!("{name}.ptx"))).ok())
    else {
        return Ok(None);
    };
    let mut all = lock(&REPLACED);
    let known = all.iter().position(|known| known.device == context.device && known.name == name);
    if let Some(known) = known {
        if all[known].text == text {
            return Ok(Some(all[known].function));
        }
        let _ = FUNCTIONS.remove(all.swap_remove(known).function);
    }
    let loaded = module::load(context, &text).map_err(|refusal| refusal.said())?;
    let kernel = loaded.kernels.get(name).ok_or(code::NOT_FOUND)?.clone();
    let function = module::offer(kernel, loaded.into());
    all.push(Replaced { device: context.device, name: name.to_owned(), text, function });
    Ok(Some(function))
}
