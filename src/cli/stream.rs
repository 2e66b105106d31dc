//! A file or stdin as a stream of bytes, whatever it is packed in.
//!
//! What a file is packed in is told from its first bytes and never from its name. It is unpacked as
//! it is read: a stream that is cut or damaged fails at that place and never ends in silence.

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::failure::Failure;
use super::files;

/// How much is read at once, in bytes.
const CHUNK: usize = 1 << 16;

/// How far back a frame of zstd may refer, as a power of two: what unpacking one takes in memory.
const WINDOW_LOG: u32 = 27;

/// Opens a file, or stdin for `-`, to be read piece by piece and unpacked.
pub(super) fn open(path: &Path) -> Result<Box<dyn BufRead + Send>, Failure> {
    watched(path, &Arc::default())
}

/// As [`open`], and counts the bytes that are read of the file as it is, packed or plain.
pub(super) fn watched(path: &Path, read: &Arc<AtomicU64>) -> Result<Box<dyn BufRead + Send>, Failure> {
    let raw: Box<dyn Read + Send> =
        if files::is_stdin(path) { Box::new(io::stdin()) } else { Box::new(files::open(path, None)?) };
    unpacked(Watched { raw, read: Arc::clone(read) }).map_err(|e| Failure::reading(path, &e))
}

/// A stream that counts its bytes.
struct Watched {
    raw: Box<dyn Read + Send>,
    read: Arc<AtomicU64>,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.raw.read(buffer)?;
        self.read.fetch_add(got as u64, Ordering::Relaxed);
        Ok(got)
    }
}

/// The bytes that a stream is packed from; a plain stream as it is.
pub(super) fn unpacked<'r>(mut raw: impl Read + Send + 'r) -> io::Result<Box<dyn BufRead + Send + 'r>> {
    let mut head = [0; 4];
    let mut got = 0;
    while let Some(rest) = head.get_mut(got..).filter(|rest| !rest.is_empty()) {
        match raw.read(rest) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let head: Vec<u8> = head.into_iter().take(got).collect();
    let packing = Packing::of(&head);
    let whole = BufReader::with_capacity(CHUNK, Cursor::new(head).chain(raw));
    Ok(match packing {
        Packing::None => Box::new(whole),
        // A file may hold several members or frames one after another, as rotation leaves them.
        Packing::Gzip => Box::new(BufReader::with_capacity(CHUNK, flate2::bufread::MultiGzDecoder::new(whole))),
        Packing::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(whole)?;
            decoder.window_log_max(WINDOW_LOG)?;
            Box::new(BufReader::with_capacity(CHUNK, decoder))
        }
    })
}

#[derive(Clone, Copy)]
enum Packing {
    None,
    Gzip,
    Zstd,
}

impl Packing {
    fn of(head: &[u8]) -> Self {
        match head {
            // RFC 1952, RFC 8878: a frame, or a skippable one before it.
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// A stream that fails behind a number of bytes, so that what is held whole stays bounded.
#[derive(Debug)]
pub(super) struct Bounded<R> {
    input: R,
    left: u64,
    limit: u64,
}

impl<R: BufRead> Bounded<R> {
    pub(super) fn new(input: R, limit: u64) -> Self {
        Self { input, left: limit, limit }
    }
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let chunk = self.fill_buf()?;
        let mut chunk = chunk;
        let read = chunk.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let chunk = self.input.fill_buf()?;
        if chunk.len() as u64 > self.left {
            let text = format!("it is larger than {} MiB: split it", self.limit >> 20);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        Ok(chunk)
    }

    fn consume(&mut self, used: usize) {
        self.left = self.left.saturating_sub(used as u64);
        self.input.consume(used);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zst(bytes: &[u8]) -> Vec<u8> {
        zstd::stream::encode_all(bytes, 3).unwrap()
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        /// One byte at a time, as a slow pipe gives them.
        struct Slow<'b>(&'b [u8]);
        impl Read for Slow<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let few = buffer.len().min(1);
                self.0.read(&mut buffer[..few])
            }
        }
        let mut whole = Vec::new();
        unpacked(bytes)?.read_to_end(&mut whole)?;
        let mut slowly = Vec::new();
        unpacked(Slow(bytes))?.read_to_end(&mut slowly)?;
        assert_eq!(whole, slowly);
        Ok(whole)
    }

    #[test]
    fn what_is_packed_is_told_from_its_first_bytes() {
        let text = b"{\"a\":1}\n".repeat(40_000);
        for packed in [text.clone(), gzip(&text), zst(&text)] {
            assert_eq!(read(&packed).unwrap(), text);
        }
        for short in [&b""[..], b"{", b"{}", b"\x1f", b"abc"] {
            assert_eq!(read(short).unwrap(), short);
        }
    }

    #[test]
    fn several_members_and_frames_are_read_one_after_another() {
        let twice = [gzip(b"one\n"), gzip(b"two\n")].concat();
        assert_eq!(read(&twice).unwrap(), b"one\ntwo\n");
        let skippable = [0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9];
        let frames = [&skippable[..], &zst(b"one\n"), &zst(b"two\n")].concat();
        assert_eq!(read(&frames).unwrap(), b"one\ntwo\n");
    }

    #[test]
    fn a_stream_that_is_cut_or_damaged_fails() {
        let text: Vec<u8> = (0..200_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        for packed in [gzip(&text), zst(&text)] {
            for end in [5, packed.len() / 2, packed.len() - 1] {
                assert!(read(&packed[..end]).is_err(), "cut at {end}");
            }
            let mut damaged = packed.clone();
            damaged[packed.len() / 2] ^= 0x55;
            let read = read(&damaged);
            assert!(read.is_err() || read.unwrap() != text);
        }
        let behind = [gzip(b"one\n"), b"garbage".to_vec()].concat();
        assert!(read(&behind).is_err());
    }

    #[test]
    fn a_bounded_stream_fails_behind_its_limit() {
        let all = |limit| {
            let mut out = Vec::new();
            Bounded::new(&b"12345"[..], limit).read_to_end(&mut out).map(|_| out)
        };
        assert_eq!(all(5).unwrap(), b"12345");
        assert_eq!(all(4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
