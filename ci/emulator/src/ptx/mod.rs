//! PTX text: what a module says, before anything is resolved. PTX ISA chapters 4 and 5 give the syntax.

mod lexer;
mod parser;
mod types;

use std::collections::{HashMap, HashSet};

pub use parser::parse;
pub use types::{Type, sign_extend, truncate};

/// A state space a variable is declared in. PTX ISA 5.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    Global,
    Const,
    Shared,
    Local,
    Param,
}

/// A module's text, parsed.
#[derive(Debug, Default)]
pub struct Source {
    /// `.version`: major, minor.
    pub version: (u32, u32),
    /// The first word of `.target`, as `sm_90a`.
    pub target: String,
    pub variables: Vec<Variable>,
    pub functions: Vec<Function>,
}

/// A declared variable with its initial contents.
#[derive(Clone, Debug)]
pub struct Variable {
    pub name: String,
    pub space: Space,
    /// Bytes; at least the size of an element.
    pub align: usize,
    pub element: Type,
    /// Bytes; 0 for an array without a bound (dynamic shared memory).
    pub size: usize,
    pub external: bool,
    pub init: Vec<Operand>,
}

/// A kernel (`.entry`) or a device function (`.func`).
#[derive(Debug)]
pub struct Function {
    pub name: String,
    pub entry: bool,
    pub returns: Vec<Variable>,
    pub params: Vec<Variable>,
    /// Absent for a declaration.
    pub body: Option<Vec<Item>>,
    /// Threads per block by `.maxntid` or `.reqntid`, as a product; the second says which.
    pub max_threads: Option<(u32, bool)>,
    /// `.reqnctapercluster`.
    pub cluster: Option<[u32; 3]>,
}

/// One thing inside a function's braces.
#[derive(Debug)]
pub enum Item {
    Label(String),
    Registers { ty: Type, name: String, count: Option<u32> },
    Variable(Variable),
    Statement(Statement),
    Scope(Vec<Item>),
}

/// One instruction.
#[derive(Debug)]
pub struct Statement {
    /// `@p` or `@!p`: the name and whether it is negated.
    pub guard: Option<(String, bool)>,
    /// The opcode's parts, as `["ld", "global", "v4", "f32"]`.
    pub opcode: Vec<String>,
    pub operands: Vec<Operand>,
    pub line: u32,
}

/// An operand as written.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    Name(String),
    Not(String),
    Negative(String),
    Offset(String, i64),
    Int(i128),
    F32(u32),
    F64(f64),
    Address(Box<Operand>, i64),
    /// `{a, b}` or, in calls, `(a, b)`.
    Vector(Vec<Operand>),
    /// `a|b`.
    Pair(Box<Operand>, Box<Operand>),
}

impl Statement {
    /// The opcode as written.
    pub fn text(&self) -> String {
        self.opcode.join(".")
    }

    /// The names its operands have.
    pub fn names(&self) -> HashSet<&str> {
        let mut names = HashSet::new();
        self.operands.iter().for_each(|operand| operand.names(&mut names));
        names
    }
}

impl Operand {
    fn names<'a>(&'a self, into: &mut HashSet<&'a str>) {
        match self {
            Self::Name(name) | Self::Not(name) | Self::Negative(name) | Self::Offset(name, _) => {
                into.insert(name);
            }
            Self::Address(base, _) => base.names(into),
            Self::Vector(parts) => parts.iter().for_each(|part| part.names(into)),
            Self::Pair(first, second) => {
                first.names(into);
                second.names(into);
            }
            Self::Int(_) | Self::F32(_) | Self::F64(_) => {}
        }
    }
}

/// Names that only one instruction among some items has.
pub fn lonely_names(items: &[Item]) -> HashSet<&str> {
    fn count<'a>(items: &'a [Item], into: &mut HashMap<&'a str, u32>) {
        for item in items {
            match item {
                Item::Scope(items) => count(items, into),
                Item::Statement(statement) => {
                    statement.names().into_iter().for_each(|name| *into.entry(name).or_default() += 1);
                }
                _ => {}
            }
        }
    }
    let mut counts = HashMap::new();
    count(items, &mut counts);
    counts.into_iter().filter(|(_, count)| *count == 1).map(|(name, _)| name).collect()
}

/// All names that instructions among some items have.
pub fn names_in(items: &[Item]) -> HashSet<&str> {
    items
        .iter()
        .flat_map(|item| match item {
            Item::Scope(items) => names_in(items),
            Item::Statement(statement) => statement.names(),
            _ => HashSet::new(),
        })
        .collect()
}
