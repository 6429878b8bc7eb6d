//! The response cache: each worker caches finished answers until the file changes.

use std::cell::OnceCell;
use std::rc::Rc;

use actix_web::web::Bytes;
use quick_cache::Weighter;
use quick_cache::unsync::Cache;

use crate::http::caching::content_coding::Coding;
use crate::http::reading::completeness::AnswerScope;

/// The bytes that a worker caches, all codings of an answer counted.
const MOST_BYTES: u64 = 8 << 20;

/// The number of answers that it has room for before it grows.
const FIRST_ROOM: usize = 64;

/// A larger answer is not cached: it would evict all others.
const LARGEST: usize = 2 << 20;

/// The approximate size of an entry beside its texts.
const OVERHEAD: usize = 256;

/// A whole answer, without what depends on the time of its use.
pub struct CachedResponse {
    pub body: Bytes,
    /// Differs for every other body of the same resource.
    pub hash: i64,
    pub extent: AnswerScope,
    gzip: OnceCell<Bytes>,
    zstd: OnceCell<Bytes>,
}

impl CachedResponse {
    pub fn new(body: Bytes, hash: i64, extent: AnswerScope) -> CachedResponse {
        CachedResponse {
            body,
            hash,
            extent,
            gzip: OnceCell::new(),
            zstd: OnceCell::new(),
        }
    }

    /// The body in a coding, if it was encoded before.
    pub fn coded(&self, coding: Coding) -> Option<Bytes> {
        match coding {
            Coding::Identity => Some(self.body.clone()),
            Coding::Gzip => self.gzip.get().cloned(),
            Coding::Zstd => self.zstd.get().cloned(),
        }
    }

    fn add(&self, coding: Coding, body: Bytes) {
        // Another request may have been first, with the same result.
        let _ = match coding {
            Coding::Identity => Ok(()),
            Coding::Gzip => self.gzip.set(body),
            Coding::Zstd => self.zstd.set(body),
        };
    }

    fn size(&self) -> usize {
        let forms = [Some(&self.body), self.gzip.get(), self.zstd.get()];
        forms.into_iter().flatten().map(Bytes::len).sum()
    }
}

/// The answers of one state of the file, by what was requested.
pub struct ResponseCache {
    /// The file's version as the worker's own reader sees it.
    version: i64,
    answers: Cache<String, Weighed, Weight>,
}

/// An answer and its size in bytes when it was cached: a coding that is added later makes it larger,
/// and until it is inserted again the cache has to count what it counted.
#[derive(Clone)]
struct Weighed {
    answer: Rc<CachedResponse>,
    bytes: u64,
}

impl Weighed {
    fn of(asked: &str, answer: &Rc<CachedResponse>) -> Weighed {
        Weighed {
            answer: Rc::clone(answer),
            bytes: (asked.len() + answer.size() + OVERHEAD) as u64,
        }
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<String, Weighed> for Weight {
    fn weight(&self, _: &String, weighed: &Weighed) -> u64 {
        weighed.bytes
    }
}

impl Default for ResponseCache {
    fn default() -> ResponseCache {
        ResponseCache {
            version: 0,
            answers: Cache::with_weighter(FIRST_ROOM, MOST_BYTES, Weight),
        }
    }
}

impl ResponseCache {
    /// An answer that was read when the file had this version or a later one, if the file still has
    /// this version.
    pub fn get(&mut self, version: i64, asked: &str) -> Option<Rc<CachedResponse>> {
        if version != self.version {
            self.version = version;
            self.answers.clear();
        }
        let weighed = self.answers.get(asked)?;
        Some(Rc::clone(&weighed.answer))
    }

    /// Caches an answer that was read after the file was seen in this version.
    pub fn keep(&mut self, version: i64, asked: String, answer: &Rc<CachedResponse>) {
        // Other requests went on meanwhile, and may have seen a newer version.
        if version == self.version && answer.size() <= LARGEST {
            let weighed = Weighed::of(&asked, answer);
            self.answers.insert(asked, weighed);
        }
    }

    /// Adds a coding to an answer, whether or not it is cached.
    pub fn add(&mut self, asked: &str, answer: &Rc<CachedResponse>, coding: Coding, body: Bytes) {
        answer.add(coding, body);
        let cached = self.answers.peek(asked);
        if cached.is_some_and(|cached| Rc::ptr_eq(&cached.answer, answer)) {
            self.answers
                .insert(asked.to_owned(), Weighed::of(asked, answer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::reading::completeness::Reach;
    use crate::model::CallFilter;

    fn answer(size: usize) -> Rc<CachedResponse> {
        let extent = AnswerScope::whole(Reach::of(&CallFilter::default()));
        Rc::new(CachedResponse::new(vec![b'x'; size].into(), 1, extent))
    }

    #[test]
    fn an_answer_is_kept_until_the_file_has_another_version() {
        let mut kept = ResponseCache::default();
        assert!(kept.get(7, "a").is_none());
        kept.keep(7, "a".to_owned(), &answer(10));
        assert!(kept.get(7, "a").is_some());
        assert!(kept.get(7, "b").is_none());
        assert!(kept.get(8, "a").is_none());
        assert!(
            kept.get(7, "a").is_none(),
            "what is gone does not come back"
        );
    }

    #[test]
    fn an_answer_of_an_older_version_is_not_kept() {
        let mut kept = ResponseCache::default();
        assert!(kept.get(7, "a").is_none());
        assert!(kept.get(8, "b").is_none());
        kept.keep(7, "a".to_owned(), &answer(10));
        assert!(kept.get(8, "a").is_none());
    }

    #[test]
    fn an_answer_that_is_used_again_stays_and_others_make_room() {
        let mut kept = ResponseCache::default();
        assert!(kept.get(1, "").is_none());
        for name in ["a", "b", "c", "d"] {
            kept.keep(1, name.to_owned(), &answer((2 << 20) - 1000));
        }
        assert!(kept.get(1, "a").is_some());
        kept.keep(1, "e".to_owned(), &answer(LARGEST));
        assert!(kept.get(1, "a").is_some());
        let others = ["b", "c", "d"];
        assert!(others.iter().any(|name| kept.get(1, name).is_none()));
        kept.keep(1, "f".to_owned(), &answer(LARGEST + 1));
        assert!(kept.get(1, "f").is_none());
        assert!(kept.answers.weight() <= MOST_BYTES);
    }

    #[test]
    fn compressed_forms_count_and_are_there_for_the_next() {
        let mut kept = ResponseCache::default();
        assert!(kept.get(1, "").is_none());
        let first = answer(100);
        kept.keep(1, "a".to_owned(), &first);
        let before = kept.answers.weight();
        assert!(first.coded(Coding::Gzip).is_none());
        for _ in 0..2 {
            kept.add("a", &first, Coding::Gzip, Bytes::from_static(b"short"));
        }
        assert_eq!(kept.answers.weight(), before + 5);
        assert_eq!(first.coded(Coding::Gzip).unwrap(), "short");
        kept.add("b", &answer(9), Coding::Zstd, Bytes::from_static(b"z"));
        assert_eq!(kept.answers.weight(), before + 5);
    }
}
