//! What makes two tickets alike: the words that they share, leaving aside numbers, case and punctuation.

use std::cmp::Ordering;

const WORD_BYTES_MIN: usize = 3;

/// The words of a text, sorted, each once.
#[derive(Debug, PartialEq)]
pub struct Fingerprint(Vec<Vec<u8>>);

impl Fingerprint {
    /// Bytes beyond ASCII belong to words, so that every script has some.
    pub fn of(text: &str) -> Fingerprint {
        let mut words: Vec<Vec<u8>> = text
            .as_bytes()
            .split(|byte| byte.is_ascii() && !byte.is_ascii_alphanumeric())
            .filter(|word| word.len() >= WORD_BYTES_MIN)
            .filter(|word| !word.iter().any(u8::is_ascii_digit))
            .map(<[u8]>::to_ascii_lowercase)
            .collect();
        words.sort_unstable();
        words.dedup();
        Fingerprint(words)
    }

    /// Whether at least `percent` of all words of the two are common to both. Nothing is like an empty text.
    pub fn is_like(&self, other: &Fingerprint, percent: u64) -> bool {
        let common = self.common(other);
        let all = self.0.len() + other.0.len() - common;
        common > 0 && 100 * common as u64 >= percent * all as u64
    }

    fn common(&self, other: &Fingerprint) -> usize {
        let (mut mine, mut theirs) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut common = 0;
        while let (Some(a), Some(b)) = (mine.peek(), theirs.peek()) {
            match a.cmp(b) {
                Ordering::Less => drop(mine.next()),
                Ordering::Greater => drop(theirs.next()),
                Ordering::Equal => {
                    common += 1;
                    mine.next();
                    theirs.next();
                }
            }
        }
        common
    }
}

#[cfg(test)]
mod tests {
    use super::Fingerprint;

    #[test]
    fn case_punctuation_numbers_and_order_do_not_count() {
        let plain = Fingerprint::of("The VPN drops every 7 minutes, node-31 says.");
        assert_eq!(plain, Fingerprint::of("every 12 minutes THE vpn... drops!! node-44 SAYS: at 3"));
    }

    #[test]
    fn other_scripts_have_words() {
        assert!(Fingerprint::of("ログインできません").is_like(&Fingerprint::of("ログインできません !!"), 100));
    }

    #[test]
    fn the_threshold_is_the_share_of_all_words() {
        let (four, five) = (Fingerprint::of("aaa bbb ccc ddd"), Fingerprint::of("aaa bbb ccc eee fff"));
        assert!(four.is_like(&five, 50));
        assert!(!four.is_like(&five, 51));
    }

    #[test]
    fn nothing_is_like_an_empty_text() {
        assert!(!Fingerprint::of("").is_like(&Fingerprint::of("?? 12 a"), 0));
    }
}
