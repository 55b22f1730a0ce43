//! Tokens into an expression, by precedence: OR, AND, NOT, comparison, sum, product, sign.

use std::vec::IntoIter;

use super::lexer::{Token, tokens};
use super::like::Pattern;
use super::{MAX_DEPTH, SelectorError};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    Text(String),
    Integer(i64),
    Real(f64),
    Truth(bool),
    Property(String),
    /// True if one is.
    Or(Vec<Expression>),
    /// True if all are.
    And(Vec<Expression>),
    Not(Box<Expression>),
    Negative(Box<Expression>),
    Compare(Comparison, Box<Expression>, Box<Expression>),
    /// Operations of one precedence, from the left.
    Calculate(Box<Expression>, Vec<(Operation, Expression)>),
    /// A value, and the lowest and the highest that it may be.
    Between(Box<Expression>, Box<Expression>, Box<Expression>),
    In(Box<Expression>, Vec<Expression>),
    Like(Box<Expression>, Pattern),
    IsNull(Box<Expression>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

const KEYWORDS: [&str; 10] = [
    "AND", "OR", "NOT", "BETWEEN", "IN", "LIKE", "ESCAPE", "IS", "NULL", "XOR",
];

/// Reads a whole selector.
pub(super) fn parse(text: &str) -> Result<Expression, SelectorError> {
    let mut tokens = tokens(text)?.into_iter();
    let next = tokens.next();
    let mut parser = Parser {
        tokens,
        next,
        end: text.len(),
        depth: 0,
    };
    let expression = parser.disjunction()?;
    match parser.next {
        None => Ok(expression),
        Some(_) => Err(parser.expected("AND, OR or the end")),
    }
}

struct Parser {
    tokens: IntoIter<(usize, Token)>,
    next: Option<(usize, Token)>,
    end: usize,
    depth: usize,
}

type Parsed = Result<Expression, SelectorError>;

impl Parser {
    fn position(&self) -> usize {
        self.next
            .as_ref()
            .map_or(self.end, |(position, _)| *position)
    }

    fn expected(&self, what: &str) -> SelectorError {
        SelectorError::new(self.position(), format!("expected {what}"))
    }

    fn take(&mut self) -> Option<Token> {
        std::mem::replace(&mut self.next, self.tokens.next()).map(|(_, token)| token)
    }

    /// Takes the next token if it is this keyword.
    fn keyword(&mut self, keyword: &str) -> bool {
        let is_next = matches!(&self.next, Some((_, token)) if token.is(keyword));
        if is_next {
            self.take();
        }
        is_next
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        let is_next = matches!(&self.next, Some((_, Token::Symbol(next))) if *next == symbol);
        if is_next {
            self.take();
        }
        is_next
    }

    /// What is one level deeper.
    fn nested(&mut self, parse: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        if self.depth >= MAX_DEPTH {
            let reason = format!("it is nested deeper than {MAX_DEPTH} levels");
            return Err(SelectorError::new(self.position(), reason));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn disjunction(&mut self) -> Parsed {
        let mut terms = vec![self.conjunction()?];
        while self.keyword("OR") {
            terms.push(self.conjunction()?);
        }
        Ok(single_or(terms, Expression::Or))
    }

    fn conjunction(&mut self) -> Parsed {
        let mut terms = vec![self.negation()?];
        while self.keyword("AND") {
            terms.push(self.negation()?);
        }
        Ok(single_or(terms, Expression::And))
    }

    fn negation(&mut self) -> Parsed {
        match self.keyword("NOT") {
            true => self
                .nested(Self::negation)
                .map(|term| Expression::Not(Box::new(term))),
            false => self.comparison(),
        }
    }

    fn comparison(&mut self) -> Parsed {
        let left = self.sum()?;
        if self.keyword("IS") {
            let is_negated = self.keyword("NOT");
            return match self.keyword("NULL") {
                true => Ok(negated(is_negated, Expression::IsNull(Box::new(left)))),
                false => Err(self.expected("NULL")),
            };
        }
        let is_negated = self.keyword("NOT");
        if self.keyword("BETWEEN") {
            return Ok(negated(is_negated, self.between(left)?));
        }
        if self.keyword("IN") {
            return Ok(negated(is_negated, self.list(left)?));
        }
        if self.keyword("LIKE") {
            return Ok(negated(is_negated, self.like(left)?));
        }
        if is_negated {
            return Err(self.expected("BETWEEN, IN or LIKE"));
        }
        let comparisons = [
            ("=", Comparison::Equal),
            ("<>", Comparison::Unequal),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        for (symbol, comparison) in comparisons {
            if self.symbol(symbol) {
                let right = self.sum()?;
                return Ok(Expression::Compare(
                    comparison,
                    Box::new(left),
                    Box::new(right),
                ));
            }
        }
        Ok(left)
    }

    fn between(&mut self, value: Expression) -> Parsed {
        let low = self.sum()?;
        if !self.keyword("AND") {
            return Err(self.expected("AND"));
        }
        let high = self.sum()?;
        Ok(Expression::Between(
            Box::new(value),
            Box::new(low),
            Box::new(high),
        ))
    }

    fn list(&mut self, value: Expression) -> Parsed {
        if !self.symbol("(") {
            return Err(self.expected("("));
        }
        let mut values = vec![self.nested(Self::sum)?];
        while self.symbol(",") {
            values.push(self.nested(Self::sum)?);
        }
        match self.symbol(")") {
            true => Ok(Expression::In(Box::new(value), values)),
            false => Err(self.expected(", or )")),
        }
    }

    fn like(&mut self, value: Expression) -> Parsed {
        let position = self.position();
        let pattern = self.text("a pattern in quotes")?;
        let escape = match self.keyword("ESCAPE") {
            true => {
                let escape = self.text("one character in quotes")?;
                let mut characters = escape.chars();
                match (characters.next(), characters.next()) {
                    (Some(escape), None) => Some(escape),
                    _ => return Err(SelectorError::new(position, "ESCAPE needs one character")),
                }
            }
            false => None,
        };
        let pattern = Pattern::new(&pattern, escape).ok_or_else(|| {
            SelectorError::new(position, "the escape character escapes nothing in it")
        })?;
        Ok(Expression::Like(Box::new(value), pattern))
    }

    fn text(&mut self, expected: &str) -> Result<String, SelectorError> {
        match self.next {
            Some((_, Token::Text(_))) => match self.take() {
                Some(Token::Text(text)) => Ok(text),
                _ => Ok(String::new()),
            },
            _ => Err(self.expected(expected)),
        }
    }

    fn sum(&mut self) -> Parsed {
        let operations = [("+", Operation::Add), ("-", Operation::Subtract)];
        self.chain(&operations, Self::product)
    }

    fn product(&mut self) -> Parsed {
        let operations = [
            ("*", Operation::Multiply),
            ("/", Operation::Divide),
            ("%", Operation::Remainder),
        ];
        self.chain(&operations, Self::sign)
    }

    /// Operations of one precedence. However many they are, they are one level.
    fn chain(
        &mut self,
        operations: &[(&str, Operation)],
        operand: fn(&mut Self) -> Parsed,
    ) -> Parsed {
        let first = operand(self)?;
        let mut more = Vec::new();
        while let Some((_, operation)) = operations.iter().find(|(symbol, _)| self.symbol(symbol)) {
            more.push((*operation, operand(self)?));
        }
        Ok(match more.is_empty() {
            true => first,
            false => Expression::Calculate(Box::new(first), more),
        })
    }

    fn sign(&mut self) -> Parsed {
        if self.symbol("-") {
            let value = self.nested(Self::sign)?;
            return Ok(Expression::Negative(Box::new(value)));
        }
        match self.symbol("+") {
            true => self.nested(Self::sign),
            false => self.value(),
        }
    }

    fn value(&mut self) -> Parsed {
        if self.symbol("(") {
            let inside = self.nested(Self::disjunction)?;
            return match self.symbol(")") {
                true => Ok(inside),
                false => Err(self.expected(")")),
            };
        }
        let is_value = match &self.next {
            Some((_, Token::Word(word))) => {
                !KEYWORDS.iter().any(|key| word.eq_ignore_ascii_case(key))
            }
            Some((_, Token::Symbol(_))) | None => false,
            Some(_) => true,
        };
        if !is_value {
            return Err(self.expected("a value, a name or a parenthesis"));
        }
        match self.take() {
            Some(Token::Text(text)) => Ok(Expression::Text(text)),
            Some(Token::Integer(number)) => Ok(Expression::Integer(number)),
            Some(Token::Real(number)) => Ok(Expression::Real(number)),
            Some(token) if token.is("TRUE") => Ok(Expression::Truth(true)),
            Some(token) if token.is("FALSE") => Ok(Expression::Truth(false)),
            Some(Token::Word(name) | Token::Quoted(name)) => Ok(Expression::Property(name)),
            _ => Err(self.expected("a value")),
        }
    }
}

fn negated(is_negated: bool, expression: Expression) -> Expression {
    match is_negated {
        true => Expression::Not(Box::new(expression)),
        false => expression,
    }
}

fn single_or(mut terms: Vec<Expression>, several: fn(Vec<Expression>) -> Expression) -> Expression {
    match terms.pop() {
        Some(only) if terms.is_empty() => only,
        last => {
            terms.extend(last);
            several(terms)
        }
    }
}
