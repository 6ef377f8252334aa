//! The files of the project, and what is found in them.

use std::ops::Range;
use std::path::Path;
use std::{fmt, fs};

use crate::Sample;
use crate::source::{Kind, Word, pieces, words};

pub(crate) struct Finding {
    pub(crate) path: String,
    line: usize,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

pub(crate) struct Tree {
    pub(crate) files: Vec<File>,
}

impl Tree {
    /// Reads all text files of the project.
    pub(crate) fn load(root: &Path) -> Tree {
        let mut tree = Tree { files: Vec::new() };
        tree.load_folder(root, "");
        tree
    }

    fn load_folder(&mut self, folder: &Path, prefix: &str) {
        const KINDS: [&str; 8] = ["rs", "md", "toml", "yml", "yaml", "py", "sh", "txt"];
        const SKIPPED: [&str; 3] = [".git", "target", "corpus"];
        let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for entry in entries.map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            let relative = format!("{prefix}{name}");
            let is_text = path
                .extension()
                .is_some_and(|kind| KINDS.iter().any(|k| kind == *k));
            if path.is_dir() && !SKIPPED.contains(&&*name) {
                self.load_folder(&path, &format!("{relative}/"));
            } else if is_text || relative == ".ci/run" {
                let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{relative}: {e}"));
                self.files.push(File::new(&relative, &text));
            }
        }
    }

    pub(crate) fn of(samples: &[Sample]) -> Tree {
        Tree {
            files: samples
                .iter()
                .map(|(path, text)| File::new(path, text))
                .collect(),
        }
    }

    pub(crate) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    /// The library's own.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &File> {
        self.rust().filter(|file| file.path.starts_with("src/"))
    }
}

/// A file and, for Rust, three views of it in which the rest is blank; lines stay where they are.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
    /// Neither comments nor literals.
    pub(crate) code: String,
    pub(crate) without_comments: String,
    pub(crate) comments: String,
    /// The words of `code`: line and place.
    words: Vec<(usize, Range<usize>)>,
}

impl File {
    pub(crate) fn new(path: &str, text: &str) -> File {
        let (mut code, mut without_comments, mut comments) = Default::default();
        if path.ends_with(".rs") {
            for (kind, piece) in pieces(text) {
                let blank = "\n".repeat(piece.matches('\n').count()) + " ";
                let pick = |is_seen: bool| if is_seen { piece } else { blank.as_str() };
                String::push_str(&mut code, pick(kind == Kind::Code));
                String::push_str(&mut without_comments, pick(kind != Kind::Comment));
                String::push_str(&mut comments, pick(kind == Kind::Comment));
            }
        }
        let words = words(&code)
            .iter()
            .map(|word| {
                let start = word.text.as_ptr().addr() - code.as_ptr().addr();
                (word.line, start..start + word.text.len())
            })
            .collect();
        File {
            path: path.into(),
            text: text.into(),
            code,
            without_comments,
            comments,
            words,
        }
    }

    pub(crate) fn words(&self) -> Vec<Word<'_>> {
        let words = self.words.iter();
        words
            .map(|(line, place)| Word {
                line: *line,
                text: &self.code[place.clone()],
            })
            .collect()
    }

    /// The module that the file is, as `sys::selector::epoll`; the root is empty.
    pub(crate) fn module(&self) -> String {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let path = path.strip_suffix("/mod").unwrap_or(path);
        if path == "lib" {
            String::new()
        } else {
            path.replace('/', "::")
        }
    }

    pub(crate) fn finding(&self, line: usize, what: impl Into<String>) -> Finding {
        Finding {
            path: self.path.clone(),
            line,
            what: what.into(),
        }
    }

    /// The comments on this line and above the statement or item that it belongs to.
    pub(crate) fn comment_above(&self, line: usize) -> String {
        let code: Vec<&str> = self.code.lines().collect();
        let comments: Vec<&str> = self.comments.lines().collect();
        let mut above = comments[line - 1].to_string();
        let mut is_above_statement = false;
        for index in (0..line - 1).rev() {
            let (code, comment) = (code[index].trim(), comments[index].trim());
            // An earlier statement, or the block that this one is the first of, or a gap.
            let is_end = code.ends_with([';', '{', '}']) || (code.is_empty() && comment.is_empty());
            if is_end || (is_above_statement && !code.is_empty()) {
                break;
            }
            is_above_statement |= code.is_empty();
            above += comment;
        }
        above
    }
}
