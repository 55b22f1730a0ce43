//! The words of a selector, and where each begins.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while, take_while_m_n, take_while1};
use nom::character::complete::{char, digit1, multispace0, none_of, one_of};
use nom::combinator::{map, map_opt, opt, recognize, value, verify};
use nom::multi::fold_many0;
use nom::sequence::{delimited, pair, preceded};
use nom::{IResult, Parser};

use super::SelectorError;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Text(String),
    Integer(i64),
    Real(f64),
    /// Also the keywords: whether it is one depends on where it stands.
    Word(String),
    /// An identifier in double quotes, which is never a keyword.
    Quoted(String),
    Symbol(&'static str),
}

impl Token {
    /// Whether it is this keyword, in any case.
    pub(super) fn is(&self, keyword: &str) -> bool {
        matches!(self, Self::Word(word) if word.eq_ignore_ascii_case(keyword))
    }
}

/// All tokens, each with the octet at which it begins.
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, SelectorError> {
    let mut rest = skip_blanks(text);
    let mut tokens = Vec::new();
    while !rest.is_empty() {
        let position = text.len() - rest.len();
        let (after, token) = token(rest)
            .map_err(|_| SelectorError::new(position, "expected a value, a name or an operator"))?;
        tokens.push((position, token));
        rest = skip_blanks(after);
    }
    Ok(tokens)
}

fn skip_blanks(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\r', '\n', '\x0c'])
}

fn token(input: &str) -> IResult<&str, Token> {
    preceded(
        multispace0,
        alt((
            map(quoted('\''), Token::Text),
            map(quoted('"'), Token::Quoted),
            number,
            map(annotation, |word: &str| Token::Word(word.to_owned())),
            map(word, |word: &str| Token::Word(word.to_owned())),
            map(symbol, Token::Symbol),
        )),
    )
    .parse(input)
}

/// Text between two of `quote`; a doubled one stands for itself.
fn quoted<'a>(
    quote: char,
) -> impl Parser<&'a str, Output = String, Error = nom::error::Error<&'a str>> {
    let escaped = match quote {
        '"' => value('"', tag("\"\"")),
        _ => value('\'', tag("''")),
    };
    let characters = fold_many0(
        alt((escaped, none_of(if quote == '"' { "\"" } else { "'" }))),
        String::new,
        |mut text: String, c| {
            text.push(c);
            text
        },
    );
    delimited(char(quote), characters, char(quote))
}

/// Integers in decimal or hexadecimal, and reals. A suffix of Java's (`L`, `f`, `d`) is taken, too.
fn number(input: &str) -> IResult<&str, Token> {
    let hexadecimal = preceded(
        alt((tag("0x"), tag("0X"))),
        map_opt(
            take_while_m_n(1, 16, |c: char| c.is_ascii_hexdigit()),
            |digits| i64::from_str_radix(digits, 16).ok().map(Token::Integer),
        ),
    );
    let exponent = || opt((one_of("eE"), opt(one_of("+-")), digit1));
    let real = map_opt(
        recognize(alt((
            recognize((digit1, char('.'), opt(digit1), exponent())),
            recognize((char('.'), digit1, exponent())),
            recognize((digit1, one_of("eE"), opt(one_of("+-")), digit1)),
        ))),
        |text: &str| text.parse().ok().map(Token::Real),
    );
    let integer = map_opt(digit1, |digits: &str| {
        digits.parse().ok().map(Token::Integer)
    });
    let (rest, token) = alt((hexadecimal, real, integer)).parse(input)?;
    let (rest, _) = opt(one_of("lLfFdD")).parse(rest)?;
    // `3x` is no number followed by a name.
    verify(take_while(is_word_part), |more: &str| more.is_empty()).parse(rest)?;
    Ok((rest, token))
}

/// A message annotation's key may have hyphens.
fn annotation(input: &str) -> IResult<&str, &str> {
    recognize(pair(
        tag("amqp.annotation."),
        take_while1(|c| is_word_part(c) || c == '-'),
    ))
    .parse(input)
}

fn word(input: &str) -> IResult<&str, &str> {
    recognize(pair(
        take_while_m_n(1, 1, |c: char| c.is_alphabetic() || "_$:".contains(c)),
        take_while(is_word_part),
    ))
    .parse(input)
}

fn is_word_part(c: char) -> bool {
    c.is_alphanumeric() || "_$.:".contains(c)
}

fn symbol(input: &str) -> IResult<&str, &'static str> {
    alt((
        value("<>", tag("<>")),
        value("<>", tag("!=")),
        value("<=", tag("<=")),
        value(">=", tag(">=")),
        value("<", tag("<")),
        value(">", tag(">")),
        value("=", tag("=")),
        value("(", tag("(")),
        value(")", tag(")")),
        value(",", tag(",")),
        value("+", tag("+")),
        value("-", tag("-")),
        value("*", tag("*")),
        value("/", tag("/")),
        value("%", tag("%")),
    ))
    .parse(input)
}
