//! From parsed text to instructions that execute: names resolved, device functions put in place of their calls.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::exec::block::SHARED_BASE;
use crate::exec::{Ctx, Flow, Inst, Predicate, Register, Run, Source};
use crate::isa;
use crate::module::{Kernel, Placed};
use crate::ptx::{self, Function, Item, Operand, Space, Statement, Type, Variable};

/// Local addresses start here.
pub const LOCAL_BASE: usize = 64;

pub type Decoded<T> = Result<T, String>;

/// What a name stands for.
#[derive(Clone, Copy, Debug)]
pub enum Symbol {
    Register(Register, Type),
    Predicate(Predicate),
    /// An address in a space.
    Address(Space, u64),
}

/// A place in the code, known once its label is reached.
#[derive(Clone)]
pub struct Target(Arc<AtomicU32>);

impl Default for Target {
    fn default() -> Self {
        Self(Arc::new(AtomicU32::new(Self::UNKNOWN)))
    }
}

impl Target {
    const UNKNOWN: u32 = u32::MAX;

    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// An operand in memory: a base, what is added to it, and the space if the base is a variable.
pub struct Address {
    pub base: Source,
    pub offset: u64,
    pub space: Option<Space>,
}

pub struct Decoder<'a> {
    source: &'a ptx::Source,
    /// Names that only one instruction of the kernel's own body has.
    lonely: HashSet<&'a str>,
    /// Innermost last.
    scopes: Vec<HashMap<String, Symbol>>,
    /// Labels of the functions being decoded, the innermost call's last.
    labels: Vec<HashMap<String, Target>>,
    /// Where `ret` leads in each of them; the kernel's own ends the thread.
    returns: Vec<Target>,
    calls: Vec<String>,
    code: Vec<Inst>,
    texts: Vec<String>,
    constants: Vec<u64>,
    constant_index: HashMap<u64, usize>,
    registers: u32,
    predicates: u32,
    shared: usize,
    local: usize,
    narrowest: usize,
    carry: Option<Register>,
    guard: Option<(Predicate, bool)>,
    at: (u32, u32),
}

/// Decodes a kernel of a module whose variables have been placed.
pub fn kernel<'a>(
    source: &'a ptx::Source,
    function: &'a Function,
    variables: &HashMap<String, Placed>,
) -> Decoded<Kernel> {
    let mut globals: HashMap<_, _> =
        variables.iter().map(|(name, at)| (name.clone(), Symbol::Address(Space::Global, at.address))).collect();
    let mut decoder = Decoder {
        source,
        lonely: ptx::lonely_names(function.body.as_deref().unwrap_or_default()),
        scopes: Vec::new(),
        labels: Vec::new(),
        returns: Vec::new(),
        calls: vec![function.name.clone()],
        code: Vec::new(),
        texts: Vec::new(),
        constants: Vec::new(),
        constant_index: HashMap::new(),
        registers: 0,
        predicates: 0,
        shared: 0,
        local: LOCAL_BASE,
        narrowest: 16,
        carry: None,
        guard: None,
        at: (0, 0),
    };
    let shared = source.variables.iter().filter(|variable| variable.space == Space::Shared);
    let (dynamic, fixed): (Vec<_>, Vec<_>) = shared.partition(|variable| variable.size == 0);
    // Only what the kernel or a function names counts, as with a linker.
    let functions = source.functions.iter().filter(|callee| !callee.entry || std::ptr::eq(*callee, function));
    let used: HashSet<&str> =
        functions.flat_map(|function| ptx::names_in(function.body.as_deref().unwrap_or_default())).collect();
    for variable in fixed.iter().filter(|variable| used.contains(variable.name.as_str())) {
        let at = decoder.place_shared(variable);
        globals.insert(variable.name.clone(), at);
    }
    let (mut params, mut offset) = (Vec::new(), 0usize);
    for param in &function.params {
        offset = offset.next_multiple_of(param.align.max(1));
        params.push((offset, param.size));
        globals.insert(param.name.clone(), Symbol::Address(Space::Param, offset as u64));
        offset += param.size;
    }
    let body = function.body.as_deref().unwrap_or_default();
    // Static shared memory of the body comes before the dynamic part.
    let mut bodies = vec![globals];
    decoder.place_all_shared(body, &mut bodies[0]);
    for variable in dynamic {
        let start = decoder.shared.next_multiple_of(variable.align.max(16));
        decoder.shared = start;
        bodies[0].insert(variable.name.clone(), Symbol::Address(Space::Shared, SHARED_BASE + start as u64));
    }
    decoder.scopes = bodies;
    decoder.scopes.push(HashMap::new());
    decoder.labels.push(HashMap::new());
    decoder.returns.push(Target::default());
    decoder.items(body).map_err(|why| format!("kernel '{}', line {}: {why}", function.name, decoder.at.1))?;
    decoder.emit(None, Box::new(|_| Ok(Flow::Exit)));
    decoder.check_labels()?;
    // A compiler keeps to what lets a whole block of the largest size run.
    let most = function.max_threads.map_or(255, |(threads, _)| (65_536 / threads.max(1)).min(255));
    let register_estimate = crate::registers::estimate(function).min(most);
    Ok(Kernel {
        name: function.name.clone(),
        code: decoder.code,
        texts: decoder.texts,
        constants: decoder.constants.iter().map(|value| [*value; 32]).collect(),
        registers: decoder.registers as usize,
        predicates: decoder.predicates as usize,
        params,
        shared_bytes: decoder.shared,
        local_bytes: decoder.local,
        max_threads: function.max_threads,
        cluster: function.cluster,
        race_shift: decoder.narrowest.min(4).trailing_zeros(),
        register_estimate,
    })
}

impl<'a> Decoder<'a> {
    fn place_shared(&mut self, variable: &Variable) -> Symbol {
        let start = self.shared.next_multiple_of(variable.align.max(1));
        self.shared = start + variable.size;
        Symbol::Address(Space::Shared, SHARED_BASE + start as u64)
    }

    fn place_all_shared(&mut self, items: &[Item], into: &mut HashMap<String, Symbol>) {
        for item in items {
            match item {
                Item::Scope(items) => self.place_all_shared(items, into),
                Item::Variable(variable) if variable.space == Space::Shared => {
                    let at = self.place_shared(variable);
                    into.insert(variable.name.clone(), at);
                }
                _ => {}
            }
        }
    }

    fn scope(&mut self) -> &mut HashMap<String, Symbol> {
        if self.scopes.is_empty() {
            self.scopes.push(HashMap::new());
        }
        let last = self.scopes.len() - 1;
        &mut self.scopes[last]
    }

    fn items(&mut self, items: &[Item]) -> Decoded<()> {
        for item in items {
            match item {
                Item::Scope(items) => {
                    self.scopes.push(HashMap::new());
                    self.items(items)?;
                    self.scopes.pop();
                }
                Item::Label(name) => {
                    let target = self.target(name);
                    if target.get() != Target::UNKNOWN {
                        return Err(format!("label '{name}' twice"));
                    }
                    target.0.store(self.code.len() as u32, Ordering::Relaxed);
                }
                Item::Registers { ty, name, count: None } => self.declare(name.clone(), *ty),
                Item::Registers { ty, name, count: Some(count) } => {
                    (0..*count).for_each(|index| self.declare(format!("{name}{index}"), *ty));
                }
                Item::Variable(variable) => self.variable(variable)?,
                Item::Statement(statement) => self.statement(statement)?,
            }
        }
        Ok(())
    }

    fn declare(&mut self, name: String, ty: Type) {
        let symbol = if ty == Type::Pred {
            Symbol::Predicate(self.new_predicate())
        } else {
            Symbol::Register(self.new_register(), ty)
        };
        self.scope().insert(name, symbol);
    }

    fn variable(&mut self, variable: &Variable) -> Decoded<()> {
        match variable.space {
            Space::Shared => {}
            // Parameters of a call that follows live in the caller's frame.
            Space::Local | Space::Param => {
                let at = self.frame(variable);
                self.scope().insert(variable.name.clone(), at);
            }
            Space::Global | Space::Const => return Err("a global variable inside a function is not supported".into()),
        }
        Ok(())
    }

    fn frame(&mut self, variable: &Variable) -> Symbol {
        let start = self.local.next_multiple_of(variable.align.max(1));
        self.local = start + variable.size;
        Symbol::Address(Space::Local, start as u64)
    }

    fn statement(&mut self, statement: &Statement) -> Decoded<()> {
        self.at.1 = statement.line;
        let text = statement.text();
        self.at.0 = self.texts.iter().position(|known| *known == text).unwrap_or(self.texts.len()) as u32;
        if self.at.0 as usize == self.texts.len() {
            self.texts.push(text.clone());
        }
        let guard = match &statement.guard {
            None => None,
            Some((name, negated)) => match self.symbol(name)? {
                Symbol::Predicate(predicate) => Some((predicate, *negated)),
                _ => return Err(format!("'{name}' is no predicate")),
            },
        };
        self.guard = guard;
        let (opcode, used) = isa::lookup(&statement.opcode).ok_or_else(|| format!("unknown opcode '{text}'"))?;
        let mut modifiers = Modifiers(statement.opcode[used..].iter().map(String::as_str).collect());
        let run = if opcode.name == "call" {
            self.call(guard, &statement.operands, &mut modifiers)?;
            None
        } else {
            Some((opcode.decode)(self, statement, &mut modifiers).map_err(|why| format!("'{text}': {why}"))?)
        };
        if let Some(left) = modifiers.0.first() {
            return Err(format!("'{text}': '.{left}' is not covered"));
        }
        if let Some(run) = run {
            self.emit(guard, run);
        }
        Ok(())
    }

    /// The guard of the statement being decoded, for one that becomes several instructions.
    pub fn guard(&self) -> Option<(Predicate, bool)> {
        self.guard
    }

    pub fn emit(&mut self, guard: Option<(Predicate, bool)>, run: Run) {
        self.code.push(Inst { guard, run, text: self.at.0, line: self.at.1 });
    }

    /// Puts a device function's body here.
    fn call(
        &mut self,
        guard: Option<(Predicate, bool)>,
        operands: &[Operand],
        modifiers: &mut Modifiers,
    ) -> Decoded<()> {
        modifiers.flag("uni");
        let (results, name, arguments) = match operands {
            [Operand::Vector(results), Operand::Name(name), Operand::Vector(arguments)] => {
                (results.as_slice(), name, arguments.as_slice())
            }
            [Operand::Name(name), Operand::Vector(arguments)] => (&[][..], name, arguments.as_slice()),
            [Operand::Vector(results), Operand::Name(name)] => (results.as_slice(), name, &[][..]),
            [Operand::Name(name)] => (&[][..], name, &[][..]),
            _ => return Err("call of this form (through a pointer?) is not supported".into()),
        };
        let source = self.source;
        let callee = source.functions.iter().find(|function| function.name == *name && function.body.is_some());
        let callee = callee.ok_or_else(|| format!("no function '{name}'"))?;
        if self.calls.contains(name) {
            return Err(format!("'{name}' calls itself, which is not supported"));
        }
        let mut scope = HashMap::new();
        for (formal, actual) in callee.returns.iter().chain(&callee.params).zip(results.iter().chain(arguments)) {
            let Operand::Name(actual) = actual else { return Err("an argument that is no variable".into()) };
            scope.insert(formal.name.clone(), self.symbol(actual)?);
        }
        let end = Target::default();
        if let Some((predicate, negated)) = guard {
            let end = end.clone();
            self.emit(Some((predicate, !negated)), Box::new(move |_| Ok(Flow::Jump(end.get()))));
        }
        let body = callee.body.as_deref().unwrap_or_default();
        self.place_all_shared(body, &mut scope);
        // The callee sees its own names and the module's.
        let outer = self.scopes.split_off(1);
        self.scopes.push(scope);
        self.labels.push(HashMap::new());
        self.returns.push(end.clone());
        self.calls.push(name.clone());
        self.items(body)?;
        self.calls.pop();
        self.returns.pop();
        self.check_labels()?;
        self.scopes.truncate(1);
        self.scopes.extend(outer);
        end.0.store(self.code.len() as u32, Ordering::Relaxed);
        Ok(())
    }

    /// Ends the labels of a function.
    fn check_labels(&mut self) -> Decoded<()> {
        let labels = self.labels.pop().unwrap_or_default();
        match labels.iter().find(|(_, target)| target.get() == Target::UNKNOWN) {
            Some((name, _)) => Err(format!("no label '{name}'")),
            None => Ok(()),
        }
    }

    /// Where `ret` leads; None at the kernel's own level.
    pub fn return_target(&self) -> Option<Target> {
        if self.returns.len() > 1 { self.returns.last().cloned() } else { None }
    }

    pub fn target(&mut self, name: &str) -> Target {
        if self.labels.is_empty() {
            self.labels.push(HashMap::new());
        }
        let last = self.labels.len() - 1;
        self.labels[last].entry(name.to_owned()).or_default().clone()
    }

    pub fn new_register(&mut self) -> Register {
        self.registers += 1;
        Register(self.registers - 1)
    }

    pub fn new_predicate(&mut self) -> Predicate {
        self.predicates += 1;
        Predicate(self.predicates - 1)
    }

    /// The register of the carry flag.
    pub fn carry(&mut self) -> Register {
        let carry = self.carry.unwrap_or_else(|| self.new_register());
        self.carry = Some(carry);
        carry
    }

    pub fn constant(&mut self, value: u64) -> Source {
        let next = self.constants.len();
        let index = *self.constant_index.entry(value).or_insert(next);
        if index == next {
            self.constants.push(value);
        }
        Source::constant(index)
    }

    fn symbol(&self, name: &str) -> Decoded<Symbol> {
        let found = self.scopes.iter().rev().find_map(|scope| scope.get(name));
        found.copied().ok_or_else(|| format!("unknown name '{name}'"))
    }

    /// A value to read, of a type: literals are converted to it.
    pub fn source(&mut self, operand: &Operand, ty: Type) -> Decoded<Source> {
        let value = match operand {
            Operand::Name(name) => {
                if let Ok(symbol) = self.symbol(name) {
                    return match symbol {
                        Symbol::Register(register, _) => Ok(register.into()),
                        Symbol::Address(_, address) => Ok(self.constant(address)),
                        Symbol::Predicate(_) => Err(format!("'{name}' is a predicate")),
                    };
                }
                if name == "WARP_SZ" {
                    32
                } else {
                    return self.special(name);
                }
            }
            Operand::Offset(name, offset) => match self.symbol(name)? {
                Symbol::Address(_, address) => address.wrapping_add_signed(*offset),
                _ => return Err(format!("'{name}+{offset}' is no address")),
            },
            Operand::Int(value) if ty.float() => return Err(format!("{value} is no {ty:?}")),
            Operand::Int(value) => ptx::truncate(*value as u64, ty.bits()),
            Operand::F32(bits) if ty == Type::F64 => f64::from(f32::from_bits(*bits)).to_bits(),
            Operand::F32(bits) => u64::from(*bits),
            Operand::F64(value) if ty == Type::F32 => u64::from((*value as f32).to_bits()),
            Operand::F64(value) if ty.bits() == 64 => value.to_bits(),
            other => return Err(format!("{other:?} is no value of type {ty:?}")),
        };
        Ok(self.constant(value))
    }

    /// A special register is moved to a register of its own first.
    fn special(&mut self, name: &str) -> Decoded<Source> {
        let read = isa::special::named(name).ok_or_else(|| format!("unknown name '{name}'"))?;
        let to = self.new_register();
        self.emit(None, isa::special::read(to, read));
        Ok(to.into())
    }

    pub fn sources<const N: usize>(&mut self, operands: &[Operand], ty: Type) -> Decoded<[Source; N]> {
        let mut sources = [Source(0); N];
        for (to, operand) in sources.iter_mut().zip(operands) {
            *to = self.source(operand, ty)?;
        }
        Ok(sources)
    }

    /// A register to write; `_` is one nobody reads.
    /// Whether a result is never read, as far as can be told.
    pub fn is_unread(&self, operand: &Operand) -> bool {
        self.calls.len() == 1
            && matches!(operand, Operand::Name(name) if name == "_" || self.lonely.contains(name.as_str()))
    }

    pub fn register(&mut self, operand: &Operand) -> Decoded<Register> {
        match operand {
            Operand::Name(name) if name == "_" => Ok(self.new_register()),
            Operand::Name(name) => match self.symbol(name)? {
                Symbol::Register(register, _) => Ok(register),
                _ => Err(format!("'{name}' is no register")),
            },
            other => Err(format!("{other:?} is no register")),
        }
    }

    /// The width of a register; of anything else, `otherwise`.
    pub fn width(&self, operand: &Operand, otherwise: u32) -> u32 {
        match operand {
            Operand::Name(name) => match self.symbol(name) {
                Ok(Symbol::Register(_, ty)) => ty.bits(),
                _ => otherwise,
            },
            _ => otherwise,
        }
    }

    pub fn is_predicate(&self, operand: &Operand) -> bool {
        matches!(operand, Operand::Name(name) | Operand::Not(name) if matches!(self.symbol(name), Ok(Symbol::Predicate(_))))
    }

    /// A predicate to write.
    pub fn predicate(&mut self, operand: &Operand) -> Decoded<Predicate> {
        match operand {
            Operand::Name(name) if name == "_" => Ok(self.new_predicate()),
            Operand::Name(name) => match self.symbol(name)? {
                Symbol::Predicate(predicate) => Ok(predicate),
                _ => Err(format!("'{name}' is no predicate")),
            },
            other => Err(format!("{other:?} is no predicate")),
        }
    }

    /// A predicate to read, perhaps negated, or a literal truth value.
    pub fn condition(&mut self, operand: &Operand) -> Decoded<Condition> {
        match operand {
            Operand::Not(name) => {
                let predicate = self.predicate(&Operand::Name(name.clone()))?;
                Ok(Condition { predicate: Some(predicate), flip: !0 })
            }
            Operand::Int(value) => Ok(Condition { predicate: None, flip: if *value != 0 { !0 } else { 0 } }),
            other => Ok(Condition { predicate: Some(self.predicate(other)?), flip: 0 }),
        }
    }

    /// `[base+offset]`.
    pub fn address(&mut self, operand: &Operand) -> Decoded<Address> {
        let Operand::Address(base, offset) = operand else { return Err(format!("{operand:?} is no address")) };
        let space = match base.as_ref() {
            Operand::Name(name) => match self.symbol(name)? {
                Symbol::Address(space, _) => Some(space),
                _ => None,
            },
            _ => None,
        };
        Ok(Address { base: self.source(base, Type::U64)?, offset: *offset as u64, space })
    }

    /// Takes note that shared memory may be accessed in units of so many bytes.
    pub fn accesses_shared(&mut self, bytes: usize) {
        self.narrowest = self.narrowest.min(bytes);
    }
}

/// A predicate as an instruction reads it.
#[derive(Clone, Copy)]
pub struct Condition {
    predicate: Option<Predicate>,
    flip: u32,
}

impl Condition {
    pub fn get(self, ctx: &Ctx<'_>) -> u32 {
        self.predicate.map_or(0, |predicate| ctx.predicate(predicate)) ^ self.flip
    }
}

/// The parts of an opcode after its name, each to be taken by the one who understands it.
pub struct Modifiers<'a>(pub Vec<&'a str>);

impl<'a> Modifiers<'a> {
    /// Takes a modifier if it is there.
    pub fn flag(&mut self, name: &str) -> bool {
        self.one_of(&[name]).is_some()
    }

    /// Takes the first that is one of these.
    pub fn one_of(&mut self, names: &[&str]) -> Option<&'a str> {
        let index = self.0.iter().position(|word| names.contains(word))?;
        Some(self.0.remove(index))
    }

    /// Takes the first that fits.
    pub fn matching(&mut self, fits: impl Fn(&str) -> bool) -> Option<&'a str> {
        let index = self.0.iter().position(|word| fits(word))?;
        Some(self.0.remove(index))
    }

    /// Takes the first type.
    pub fn ty(&mut self) -> Decoded<Type> {
        let word = self.matching(|word| Type::named(word).is_some()).ok_or("a type is missing")?;
        Type::named(word).ok_or_else(|| "a type is missing".into())
    }
}
