//! As much of PTX as it takes to break it: files, entry points, blocks without branches, instructions.

/// A kernel's file of PTX.
pub struct File {
    /// The name of the kernel's folder.
    pub kernel: String,
    lines: Vec<String>,
    pub entries: Vec<Entry>,
}

/// An entry point: its name, and its lines, from its head to its closing brace.
pub struct Entry {
    pub name: String,
    span: std::ops::Range<usize>,
}

/// An instruction taken apart.
#[derive(Clone, Debug)]
pub struct Instruction {
    /// `@%p1` or `@!%p1`, or nothing.
    pub guard: String,
    pub opcode: String,
    pub operands: Vec<String>,
}

impl File {
    pub fn new(kernel: &str, text: &str) -> Self {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let heads = lines.iter().enumerate().filter_map(|(start, line)| {
            let name = line.strip_prefix(".visible .entry ")?.trim_end_matches('(');
            Some(Entry { name: name.to_owned(), span: start..start + length(&lines[start..])? })
        });
        let entries = heads.collect();
        Self { kernel: kernel.to_owned(), lines, entries }
    }

    /// The numbers of an entry's lines, counted from 1, with the instructions there.
    pub fn instructions<'a>(&'a self, entry: &'a Entry) -> impl Iterator<Item = (usize, Instruction)> + 'a {
        entry.span.clone().filter_map(|index| Some((index + 1, Instruction::parse(&self.lines[index])?)))
    }

    pub fn line(&self, number: usize) -> &str {
        self.lines[number - 1].trim()
    }

    /// The file with this entry point alone and `lines` in place of one of its own. What these name `%mutant` is
    /// declared in all widths.
    pub fn with(&self, entry: &Entry, number: usize, lines: &[String]) -> String {
        let mut text = String::new();
        for (index, line) in self.lines.iter().enumerate() {
            if self.entries.iter().any(|other| other.name != entry.name && other.span.contains(&index)) {
                continue;
            }
            let new = if index + 1 == number { lines } else { std::slice::from_ref(line) };
            new.iter().for_each(|line| text.extend([line, "\n"]));
            if line == "{" {
                text += ".reg .b16 %mutant16; .reg .b32 %mutant32; .reg .b64 %mutant64;\n";
            }
        }
        text
    }

    /// The file with this entry point alone, as it is.
    pub fn alone(&self, entry: &Entry) -> String {
        self.with(entry, 0, &[])
    }
}

/// Lines up to the brace that closes the first one opened; assembly within C++ has braces of its own.
fn length(lines: &[String]) -> Option<usize> {
    let mut depth = 0;
    for (index, line) in lines.iter().enumerate() {
        match line.trim() {
            "{" => depth += 1,
            "}" if depth == 1 => return Some(index + 1),
            "}" => depth -= 1,
            _ => {}
        }
    }
    None
}

impl Instruction {
    /// The instruction of a line; none on lines of labels and directives.
    pub fn parse(line: &str) -> Option<Self> {
        let mut text = line.trim().strip_suffix(';')?;
        let mut guard = "";
        if text.starts_with('@') {
            (guard, text) = text.split_once(char::is_whitespace)?;
        }
        let (opcode, operands) = text.trim().split_once(char::is_whitespace).unwrap_or((text.trim(), ""));
        if !opcode.starts_with(|first: char| first.is_ascii_lowercase()) {
            return None;
        }
        let (mut depth, mut parts) = (0, vec![String::new()]);
        for letter in operands.trim().chars() {
            match letter {
                '{' | '[' => depth += 1,
                '}' | ']' => depth -= 1,
                ',' if depth == 0 => {
                    parts.push(String::new());
                    continue;
                }
                _ => {}
            }
            parts.last_mut()?.push(letter);
        }
        let operands = parts.iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect();
        Some(Self { guard: guard.to_owned(), opcode: opcode.to_owned(), operands })
    }

    /// `add` of `add.s64`.
    pub fn stem(&self) -> &str {
        self.opcode.split('.').next().unwrap_or("")
    }

    /// `s64` of `add.s64`: what it works on, or loads and stores.
    pub fn kind(&self) -> &str {
        self.opcode.rsplit('.').next().unwrap_or("")
    }

    /// Bits of that.
    pub fn bits(&self) -> u32 {
        self.kind().trim_start_matches(|letter: char| letter.is_ascii_alphabetic()).parse().unwrap_or(0)
    }

    /// Bytes that it moves.
    pub fn bytes(&self) -> i64 {
        let packs = if self.opcode.contains(".v4.") {
            4
        } else if self.opcode.contains(".v2.") {
            2
        } else {
            1
        };
        i64::from(self.bits() / 8) * packs
    }

    pub fn is_integer(&self) -> bool {
        self.kind().starts_with(['s', 'u', 'b']) && self.bits() >= 16
    }

    /// With other operands.
    pub fn of(&self, operands: Vec<String>) -> Self {
        Self { operands, ..self.clone() }
    }

    /// A move of an operand to the first.
    pub fn moved(&self, from: usize) -> Self {
        let kind = match self.kind() {
            // Packed halves are words.
            "f16x2" | "bf16x2" => "b32".to_owned(),
            _ if self.is_integer() => format!("b{}", if self.opcode.contains(".wide") { 2 } else { 1 } * self.bits()),
            other => other.to_owned(),
        };
        // An exchange may have a predicate behind its result.
        let to = self.operands[0].split('|').next().unwrap_or_default().to_owned();
        Self { opcode: format!("mov.{kind}"), operands: vec![to, self.operands[from].clone()], ..self.clone() }
    }
}

impl std::fmt::Display for Instruction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let space = if self.guard.is_empty() { "" } else { " " };
        write!(f, "{}{space}{} {};", self.guard, self.opcode, self.operands.join(", "))
    }
}

/// The number that an operand is.
pub fn immediate(operand: &str) -> Option<i64> {
    operand.parse().ok().or_else(|| Some(operand.parse::<u64>().ok()?.cast_signed()))
}
