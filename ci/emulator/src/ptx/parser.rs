//! Directives and statements of PTX text. PTX ISA chapters 4, 5 and 11.

use super::lexer::{Token, tokens};
use super::{Function, Item, Operand, Source, Space, Statement, Type, Variable};

/// Reads a module. The error names the line.
pub fn parse(text: &str) -> Result<Source, String> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0 };
    let mut source = Source::default();
    while parser.at < parser.tokens.len() {
        parser.directive(&mut source).map_err(|why| format!("line {}: {why}", parser.line()))?;
    }
    if source.version == (0, 0) {
        return Err("no .version directive".into());
    }
    if source.target.is_empty() {
        return Err("no .target directive".into());
    }
    Ok(source)
}

struct Parser {
    tokens: Vec<(Token, u32)>,
    at: usize,
}

type Parsed<T> = Result<T, String>;

impl Parser {
    fn line(&self) -> u32 {
        self.tokens.get(self.at.min(self.tokens.len().saturating_sub(1))).map_or(0, |(_, line)| *line)
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn next(&mut self) -> Parsed<Token> {
        let token = self.peek().cloned().ok_or("unexpected end of text")?;
        self.at += 1;
        Ok(token)
    }

    fn sees(&self, sign: char) -> bool {
        self.peek() == Some(&Token::Sign(sign))
    }

    fn take(&mut self, sign: char) -> bool {
        let seen = self.sees(sign);
        self.at += usize::from(seen);
        seen
    }

    fn expect(&mut self, sign: char) -> Parsed<()> {
        if self.take(sign) { Ok(()) } else { Err(format!("expected '{sign}', found {:?}", self.peek())) }
    }

    fn word(&mut self) -> Parsed<String> {
        match self.next()? {
            Token::Word(word) => Ok(word),
            other => Err(format!("expected a word, found {other:?}")),
        }
    }

    fn int(&mut self) -> Parsed<i128> {
        let negative = self.take('-');
        match self.next()? {
            Token::Int(value) => Ok(if negative { -value } else { value }),
            other => Err(format!("expected a number, found {other:?}")),
        }
    }

    fn skip_to(&mut self, sign: char) -> Parsed<()> {
        while !self.take(sign) {
            self.next()?;
        }
        Ok(())
    }

    /// Anything at module level.
    fn directive(&mut self, source: &mut Source) -> Parsed<()> {
        let mut external = false;
        loop {
            let word = self.word()?;
            match word.as_str() {
                ".version" => {
                    let Token::F64(version) = self.next()? else { return Err("expected a version".into()) };
                    source.version = (version as u32, (version * 10.0).round() as u32 % 10);
                    return Ok(());
                }
                ".target" => {
                    source.target = self.word()?;
                    while self.take(',') {
                        self.word()?;
                    }
                    return Ok(());
                }
                ".address_size" => {
                    return if self.int()? == 64 { Ok(()) } else { Err("only 64-bit addresses".into()) };
                }
                ".visible" | ".weak" | ".common" => {}
                ".extern" => external = true,
                ".entry" | ".func" => {
                    source.functions.push(self.function(word == ".entry")?);
                    return Ok(());
                }
                ".global" => return self.variables(Space::Global, external, &mut source.variables),
                ".const" => return self.variables(Space::Const, external, &mut source.variables),
                ".shared" => return self.variables(Space::Shared, external, &mut source.variables),
                ".file" | ".loc" | ".pragma" | ".alias" => return self.line_directive(&word),
                ".section" => {
                    self.skip_to('{')?;
                    return self.skip_to('}');
                }
                _ => return Err(format!("unexpected '{word}'")),
            }
        }
    }

    /// Directives that end with a line or a semicolon and mean nothing to execution.
    fn line_directive(&mut self, word: &str) -> Parsed<()> {
        match word {
            ".pragma" => self.skip_to(';'),
            ".file" | ".loc" => {
                let line = self.tokens[self.at - 1].1;
                while self.tokens.get(self.at).is_some_and(|(_, at)| *at == line) {
                    self.at += 1;
                }
                Ok(())
            }
            _ => Err(format!("'{word}' is not supported")),
        }
    }

    /// One declaration, which may name several variables, up to its semicolon.
    fn variables(&mut self, space: Space, external: bool, into: &mut Vec<Variable>) -> Parsed<()> {
        let (element, align) = self.typed()?;
        loop {
            into.push(self.variable(space, external, element, align)?);
            if !self.take(',') {
                return self.expect(';');
            }
        }
    }

    /// `.align 16 .v4 .b32` and the like; vectors count into the alignment, and their length into `element` times.
    fn typed(&mut self) -> Parsed<(Type, usize)> {
        let (mut align, mut lanes) = (0, 1);
        loop {
            let word = self.word()?;
            match word.as_str() {
                ".align" => align = self.int()? as usize,
                ".attribute" => self.skip_to(')')?,
                ".ptr" => {
                    // Kernel pointer attributes: `.ptr .global .align 4`.
                    while matches!(self.peek(), Some(Token::Word(word)) if [".global", ".shared", ".local", ".const"].contains(&word.as_str()))
                    {
                        self.at += 1;
                    }
                }
                ".v2" => lanes = 2,
                ".v4" => lanes = 4,
                name => {
                    let ty = Type::named(name.trim_start_matches('.')).ok_or_else(|| format!("no type: '{name}'"))?;
                    if lanes > 1 {
                        return Err("variables of vector type are not supported".into());
                    }
                    return Ok((ty, align.max(ty.bytes())));
                }
            }
        }
    }

    fn variable(&mut self, space: Space, external: bool, element: Type, align: usize) -> Parsed<Variable> {
        // `.param .u64 .ptr .align 1 name`: attributes between the type and the name.
        let mut align = align;
        while matches!(self.peek(), Some(Token::Word(word)) if word.starts_with('.')) {
            match self.word()?.as_str() {
                ".align" => {
                    let pointee = self.int()? as usize;
                    if space != Space::Param {
                        align = align.max(pointee);
                    }
                }
                ".ptr" | ".global" | ".shared" | ".local" | ".const" => {}
                word => return Err(format!("unexpected '{word}'")),
            }
        }
        let name = self.word()?;
        let mut size = element.bytes();
        while self.take('[') {
            size *= if self.sees(']') { 0 } else { self.int()? as usize };
            self.expect(']')?;
        }
        let mut init = Vec::new();
        if self.take('=') {
            self.initialiser(&mut init)?;
            if size == 0 {
                size = init.len() * element.bytes();
            }
        }
        Ok(Variable { name, space, align, element, size, external, init })
    }

    fn initialiser(&mut self, into: &mut Vec<Operand>) -> Parsed<()> {
        if self.take('{') {
            while !self.take('}') {
                self.initialiser(into)?;
                self.take(',');
            }
        } else {
            into.push(self.operand()?);
        }
        Ok(())
    }

    fn params(&mut self) -> Parsed<Vec<Variable>> {
        let mut params = Vec::new();
        self.expect('(')?;
        while !self.take(')') {
            match self.word()?.as_str() {
                ".param" => {
                    let (element, align) = self.typed()?;
                    params.push(self.variable(Space::Param, false, element, align)?);
                }
                word => return Err(format!("parameters in '{word}' are not supported")),
            }
            self.take(',');
        }
        Ok(params)
    }

    fn function(&mut self, entry: bool) -> Parsed<Function> {
        let returns = if self.sees('(') { self.params()? } else { Vec::new() };
        let name = self.word()?;
        let params = if self.sees('(') { self.params()? } else { Vec::new() };
        let mut function = Function { name, entry, returns, params, body: None, max_threads: None, cluster: None };
        loop {
            if self.take(';') {
                return Ok(function);
            }
            if self.take('{') {
                function.body = Some(self.body()?);
                return Ok(function);
            }
            let word = self.word()?;
            match word.as_str() {
                ".maxntid" | ".reqntid" => {
                    let threads = self.triple()?.iter().product();
                    function.max_threads = Some((threads, word == ".reqntid"));
                }
                ".minnctapersm" | ".maxnctapersm" | ".maxnreg" | ".maxclusterrank" => {
                    self.int()?;
                }
                ".reqnctapercluster" => function.cluster = Some(self.triple()?),
                ".noreturn" | ".explicitcluster" | ".abi_preserve" => {}
                ".pragma" => self.skip_to(';')?,
                _ => return Err(format!("unexpected '{word}' before a body")),
            }
        }
    }

    fn triple(&mut self) -> Parsed<[u32; 3]> {
        let mut triple = [1; 3];
        for (index, part) in triple.iter_mut().enumerate() {
            if index == 0 || self.take(',') {
                *part = self.int()? as u32;
            }
        }
        Ok(triple)
    }

    /// Items up to the closing brace.
    fn body(&mut self) -> Parsed<Vec<Item>> {
        let mut items = Vec::new();
        while !self.take('}') {
            if self.take('{') {
                items.push(Item::Scope(self.body()?));
                continue;
            }
            if self.take(';') {
                continue;
            }
            let line = self.line();
            if self.take('@') {
                let negated = self.take('!');
                let guard = Some((self.word()?, negated));
                items.push(self.statement(guard, line)?);
                continue;
            }
            if matches!(self.tokens.get(self.at + 1), Some((Token::Sign(':'), _))) {
                items.push(Item::Label(self.word()?));
                self.expect(':')?;
                continue;
            }
            let is_directive = matches!(self.peek(), Some(Token::Word(word)) if word.starts_with('.'));
            if is_directive {
                self.local_directive(&mut items)?;
            } else {
                items.push(self.statement(None, line)?);
            }
        }
        Ok(items)
    }

    fn local_directive(&mut self, items: &mut Vec<Item>) -> Parsed<()> {
        let word = self.word()?;
        let space = match word.as_str() {
            ".reg" => return self.registers(items),
            ".local" => Space::Local,
            ".shared" => Space::Shared,
            ".param" => Space::Param,
            ".global" => Space::Global,
            ".const" => Space::Const,
            _ => return self.line_directive(&word),
        };
        let mut variables = Vec::new();
        self.variables(space, false, &mut variables)?;
        items.extend(variables.into_iter().map(Item::Variable));
        Ok(())
    }

    fn registers(&mut self, items: &mut Vec<Item>) -> Parsed<()> {
        let (ty, _) = self.typed()?;
        loop {
            let name = self.word()?;
            let mut count = None;
            if self.take('<') {
                count = Some(self.int()? as u32);
                self.expect('>')?;
            }
            items.push(Item::Registers { ty, name, count });
            if !self.take(',') {
                return self.expect(';');
            }
        }
    }

    fn statement(&mut self, guard: Option<(String, bool)>, line: u32) -> Parsed<Item> {
        let opcode: Vec<String> = self.word()?.split('.').map(str::to_owned).collect();
        let mut operands = Vec::new();
        while !self.take(';') {
            operands.push(self.operand()?);
            if !self.take(',') {
                self.expect(';')?;
                break;
            }
        }
        Ok(Item::Statement(Statement { guard, opcode, operands, line }))
    }

    fn operand(&mut self) -> Parsed<Operand> {
        let first = self.primary()?;
        if self.take('|') {
            return Ok(Operand::Pair(Box::new(first), Box::new(self.primary()?)));
        }
        Ok(first)
    }

    fn primary(&mut self) -> Parsed<Operand> {
        match self.next()? {
            Token::Word(word) => {
                if self.take('+') {
                    return Ok(Operand::Offset(word, self.int()? as i64));
                }
                if self.sees('-') {
                    return Ok(Operand::Offset(word, self.int()? as i64));
                }
                Ok(Operand::Name(word))
            }
            Token::Int(value) => Ok(Operand::Int(value)),
            Token::F32(bits) => Ok(Operand::F32(bits)),
            Token::F64(value) => Ok(Operand::F64(value)),
            Token::Text(_) => Err("text is no operand".into()),
            Token::Sign('-') => match self.next()? {
                Token::Int(value) => Ok(Operand::Int(-value)),
                Token::F32(bits) => Ok(Operand::F32(bits ^ 0x8000_0000)),
                Token::F64(value) => Ok(Operand::F64(-value)),
                Token::Word(word) => Ok(Operand::Negative(word)),
                other => Err(format!("unexpected {other:?} after '-'")),
            },
            Token::Sign('!') => Ok(Operand::Not(self.word()?)),
            Token::Sign('[') => self.address(),
            Token::Sign('{') => self.list('}'),
            Token::Sign('(') => self.list(')'),
            other => Err(format!("unexpected {other:?}")),
        }
    }

    fn list(&mut self, end: char) -> Parsed<Operand> {
        let mut parts = Vec::new();
        while !self.take(end) {
            parts.push(self.operand()?);
            self.take(',');
        }
        Ok(Operand::Vector(parts))
    }

    /// `[base]`, `[base+4]`, `[base+-4]`; tensor coordinates make a vector of both.
    fn address(&mut self) -> Parsed<Operand> {
        let base = self.primary()?;
        let (base, mut offset) = match base {
            Operand::Offset(name, offset) => (Operand::Name(name), offset),
            other => (other, 0),
        };
        if self.take(',') {
            let coordinates = self.primary()?;
            self.expect(']')?;
            return Ok(Operand::Vector(vec![Operand::Address(Box::new(base), offset), coordinates]));
        }
        if self.take('+') {
            offset += self.int()? as i64;
        }
        self.expect(']')?;
        Ok(Operand::Address(Box::new(base), offset))
    }
}
