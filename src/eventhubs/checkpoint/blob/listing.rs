//! The XML in which the service lists blobs.

use std::time::SystemTime;

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, Event};

use super::error::BlobError;

/// One page of a list.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) blobs: Vec<Blob>,
    /// Where the next page begins; empty after the last one.
    pub(super) next_marker: String,
}

/// A blob as the list has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Blob {
    pub(super) name: String,
    pub(super) etag: String,
    pub(super) last_modified: Option<SystemTime>,
    metadata: Vec<(String, String)>,
}

impl Blob {
    /// A value of the metadata, whose keys mean the same in upper and lower case.
    pub(super) fn metadata(&self, key: &str) -> Option<&str> {
        let mut pairs = self.metadata.iter();
        let pair = pairs.find(|(name, _)| name.eq_ignore_ascii_case(key));
        pair.map(|(_, value)| value.as_str())
    }
}

/// Elements within elements, at most.
const MAX_DEPTH: usize = 16;

pub(super) fn parse(xml: &[u8]) -> Result<Page, BlobError> {
    let refused = |error: quick_xml::Error| BlobError::Answer(format!("list of blobs: {error}"));
    let text = std::str::from_utf8(xml)
        .map_err(|error| BlobError::Answer(format!("list of blobs: {error}")))?;
    let mut reader = Reader::from_str(text);
    // `<ownerid/>` and `<ownerid></ownerid>` are the same.
    reader.config_mut().expand_empty_elements = true;
    let mut page = Page::default();
    let mut path: Vec<String> = Vec::new();
    let mut content = String::new();
    loop {
        match reader.read_event().map_err(refused)? {
            Event::Start(_) if path.len() == MAX_DEPTH => {
                return Err(BlobError::Answer("list of blobs: too deep".into()));
            }
            Event::Start(element) => {
                path.push(String::from_utf8_lossy(element.name().as_ref()).into_owned());
                content.clear();
            }
            Event::Text(text) => content.push_str(&text.decode().map_err(|e| refused(e.into()))?),
            Event::CData(text) => content.push_str(&text.decode().map_err(|e| refused(e.into()))?),
            Event::GeneralRef(reference) => content.push_str(&resolve(&reference)?),
            Event::End(_) => {
                page.take(&path, std::mem::take(&mut content));
                path.pop();
            }
            Event::Eof if path.is_empty() => return Ok(page),
            Event::Eof => return Err(BlobError::Answer("list of blobs: it is cut off".into())),
            _ => {}
        }
    }
}

impl Page {
    /// The element that `path` leads to has ended, with this content.
    fn take(&mut self, path: &[String], content: String) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match path[..] {
            ["EnumerationResults", "NextMarker"] => self.next_marker = content,
            ["EnumerationResults", "Blobs", "Blob", ref part @ ..] => self.take_part(part, content),
            _ => {}
        }
    }

    /// The name is the first part of each blob.
    fn take_part(&mut self, part: &[&str], content: String) {
        if let ["Name"] = part {
            self.blobs.push(Blob {
                name: content,
                ..Blob::default()
            });
            return;
        }
        let Some(blob) = self.blobs.last_mut() else {
            return;
        };
        match part {
            ["Properties", "Etag"] => blob.etag = unquoted(&content).to_owned(),
            ["Properties", "Last-Modified"] => {
                blob.last_modified = httpdate::parse_http_date(&content).ok();
            }
            ["Metadata", key] => blob.metadata.push(((*key).to_owned(), content)),
            _ => {}
        }
    }
}

/// `&amp;`, `&#x26;` and the like. Entities that a document defines itself are not followed.
fn resolve(reference: &BytesRef<'_>) -> Result<String, BlobError> {
    let unknown = || BlobError::Answer("list of blobs: an unknown entity".into());
    if let Some(character) = reference.resolve_char_ref().map_err(|_| unknown())? {
        return Ok(character.into());
    }
    let name = reference.decode().map_err(|_| unknown())?;
    let text = resolve_predefined_entity(&name).ok_or_else(unknown)?;
    Ok(text.to_owned())
}

/// Lists have ETags without quotes, headers with them.
pub(super) fn unquoted(etag: &str) -> &str {
    etag.trim_matches('"')
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    const LIST: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<EnumerationResults ServiceEndpoint="https://x/" ContainerName="c">
  <Prefix>ns/hub/$default/ownership/</Prefix>
  <Blobs>
    <Blob><Name>ns/hub/$default/ownership/0</Name>
      <Properties><Last-Modified>Fri, 13 Feb 2009 23:31:30 GMT</Last-Modified><Etag>0x8D1</Etag><Content-Length>0</Content-Length></Properties>
      <Metadata><OwnerId>a &amp; b&#x21;</OwnerId></Metadata><OrMetadata /></Blob>
    <Blob><Name>ns/hub/$default/ownership/1</Name>
      <Properties><Etag>"0x8D2"</Etag></Properties><Metadata><ownerid/></Metadata></Blob>
    <Blob><Name>ns/hub/$default/ownership/2</Name><Metadata /></Blob>
  </Blobs>
  <NextMarker>2!92!</NextMarker>
</EnumerationResults>"#;

    #[test]
    fn a_page_is_read() {
        let page = parse(LIST.as_bytes()).unwrap();
        assert_eq!(page.next_marker, "2!92!");
        let [first, second, third] = &page.blobs[..] else {
            panic!("{page:?}");
        };
        assert_eq!(first.name, "ns/hub/$default/ownership/0");
        assert_eq!(first.etag, "0x8D1");
        let time = UNIX_EPOCH + Duration::from_secs(1_234_567_890);
        assert_eq!(first.last_modified, Some(time));
        assert_eq!(first.metadata("ownerid"), Some("a & b!"));
        assert_eq!(
            (second.etag.as_str(), second.metadata("OWNERID")),
            ("0x8D2", Some(""))
        );
        assert_eq!(third.metadata("ownerid"), None);
    }

    #[test]
    fn an_empty_list_is_read() {
        let xml = "<EnumerationResults><Blobs /><NextMarker /></EnumerationResults>";
        assert_eq!(parse(xml.as_bytes()).unwrap(), Page::default());
    }

    #[test]
    fn what_is_no_list_is_an_error() {
        let deep = "<a>".repeat(100);
        let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\">]><EnumerationResults><NextMarker>&a;</NextMarker></EnumerationResults>";
        let cut = &LIST.as_bytes()[..LIST.len() / 2];
        for xml in [
            b"<a><b></a>".as_slice(),
            b"\xff",
            deep.as_bytes(),
            bomb.as_bytes(),
            cut,
        ] {
            assert!(matches!(parse(xml), Err(BlobError::Answer(_))));
        }
    }
}
