//! A loaded module: its kernels decoded, its variables placed.

use std::collections::HashMap;
use std::sync::Arc;

use crate::decode;
use crate::exec::{Inst, Lanes};
use crate::memory::space;
use crate::ptx::{self, Operand, Space, Variable};

/// A decoded kernel.
pub struct Kernel {
    pub name: String,
    pub code: Vec<Inst>,
    /// Opcodes as written, for messages.
    pub texts: Vec<String>,
    pub constants: Vec<Lanes>,
    /// Registers and predicates of a warp.
    pub registers: usize,
    pub predicates: usize,
    /// Offset and size of each parameter.
    pub params: Vec<(usize, usize)>,
    /// Static shared memory of a block, and local memory of a lane.
    pub shared_bytes: usize,
    pub local_bytes: usize,
    /// `.maxntid` (false) or `.reqntid` (true), as a product.
    pub max_threads: Option<(u32, bool)>,
    pub cluster: Option<[u32; 3]>,
    /// Races are looked for in cells of `1 << race_shift` bytes: the narrowest the kernel accesses.
    pub race_shift: u32,
    /// Registers per thread, estimated.
    pub register_estimate: u32,
}

impl Kernel {
    pub fn param_bytes(&self) -> usize {
        self.params.last().map_or(0, |(offset, size)| offset + size)
    }
}

/// A variable's address and size.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    pub address: u64,
    pub size: usize,
}

pub struct Module {
    pub kernels: HashMap<String, Arc<Kernel>>,
    pub variables: HashMap<String, Placed>,
    pub version: (u32, u32),
    pub target: String,
}

impl Module {
    /// Decodes a parsed module and places its variables on a device. The error says what is wrong or not covered.
    pub fn load(source: &ptx::Source, device: u32) -> Result<Self, String> {
        let mut variables = HashMap::new();
        for variable in source.variables.iter().filter(|variable| variable.space != Space::Shared) {
            if variable.external {
                return Err(format!("unresolved variable '{}'", variable.name));
            }
            let address = space().allocate(device, variable.size).ok_or("no memory for a variable")?;
            variables.insert(variable.name.clone(), Placed { address, size: variable.size });
        }
        let mut module =
            Self { kernels: HashMap::new(), variables, version: source.version, target: source.target.clone() };
        for variable in source.variables.iter().filter(|variable| variable.space != Space::Shared) {
            module.initialise(variable)?;
        }
        for function in source.functions.iter().filter(|function| function.entry && function.body.is_some()) {
            let kernel = decode::kernel(source, function, &module.variables)?;
            module.kernels.insert(kernel.name.clone(), Arc::new(kernel));
        }
        Ok(module)
    }

    fn initialise(&self, variable: &Variable) -> Result<(), String> {
        let placed = self.variables[&variable.name];
        let mut bytes = Vec::with_capacity(variable.size);
        for value in &variable.init {
            let value = match value {
                Operand::Int(value) => *value as u64,
                Operand::F32(bits) if variable.element == ptx::Type::F64 => f64::from(f32::from_bits(*bits)).to_bits(),
                Operand::F32(bits) => u64::from(*bits),
                Operand::F64(value) if variable.element == ptx::Type::F32 => u64::from((*value as f32).to_bits()),
                Operand::F64(value) => value.to_bits(),
                Operand::Name(name) => self.variables.get(name).ok_or_else(|| format!("no variable '{name}'"))?.address,
                Operand::Offset(name, offset) => {
                    let base = self.variables.get(name).ok_or_else(|| format!("no variable '{name}'"))?.address;
                    base.wrapping_add_signed(*offset)
                }
                other => return Err(format!("'{}' starts as {other:?}, which is not supported", variable.name)),
            };
            bytes.extend_from_slice(&value.to_le_bytes()[..variable.element.bytes().min(8)]);
        }
        if bytes.len() > variable.size {
            return Err(format!("too many values for '{}'", variable.name));
        }
        bytes.resize(variable.size, 0);
        if let Some((host, _mapping)) = space().range(placed.address, bytes.len()) {
            // SAFETY: `range` gave as many bytes, and nothing runs on a module that is being loaded.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), host, bytes.len()) };
        }
        Ok(())
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        for placed in self.variables.values() {
            space().free(placed.address, false);
        }
    }
}
