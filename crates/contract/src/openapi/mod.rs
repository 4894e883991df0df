//! An OpenAPI document, 3.0 or 3.1, prepared for judging the requests and answers of its operations.

mod body;
mod build;
mod document;
mod headers;
mod operation;
mod parameter;
mod shape;
mod translate;
mod tree;

use http::Method;

use crate::fault::Fault;

pub use headers::Headers;
pub use operation::{Operation, OperationId, Parameters, RequestView, ResponseBody, ResponseView};

/// What is chosen beside the document.
#[derive(Clone, Debug, Default)]
pub struct OpenApiOptions {
    /// The path before those of the document; where it is not given, the path of each of its `servers`.
    pub base: Option<String>,
    /// Refuse parameters of the query and bodies of which the document does not speak.
    pub refuse_unknown: bool,
    /// Prepare for judging answers too.
    pub responses: bool,
}

/// All operations of a document.
#[derive(Debug)]
pub struct OpenApi {
    /// Without a `/` at their ends; the longest first.
    bases: Vec<String>,
    tree: tree::Tree,
    /// In the order of the tree's numbers.
    paths: Vec<Vec<(Method, Operation)>>,
}

/// What the document has for a method and a path.
#[derive(Debug)]
pub enum Found<'o, 'p> {
    /// An operation, and the texts of the names in its path, still encoded.
    Operation(&'o Operation, Vec<(String, &'p str)>),
    /// The path, but for these methods only.
    NoMethod(Vec<&'o Method>),
    /// Nothing.
    NoPath,
}

impl OpenApi {
    /// Reads a document, which is JSON or YAML, and tells all that is wrong with it.
    pub fn read(text: &[u8], options: &OpenApiOptions) -> Result<Self, Vec<Fault>> {
        build::build(&document::Document::read(text)?, options)
    }

    /// The operation that a request asks for. `path` has no query, and is as it was sent.
    pub fn find<'o, 'p>(&'o self, method: &Method, path: &'p str) -> Found<'o, 'p> {
        let below = |base: &String| path.strip_prefix(base.as_str())?.strip_prefix('/');
        let Some((index, names, values)) =
            self.bases.iter().filter_map(below).find_map(|path| self.tree.find(path))
        else {
            return Found::NoPath;
        };
        let operations = &self.paths[index];
        let of = |wanted: &Method| operations.iter().find(|(method, _)| method == wanted);
        // What answers GET answers HEAD (RFC 9110 section 9.3.2).
        let found = of(method).or_else(|| if method == Method::HEAD { of(&Method::GET) } else { None });
        match found {
            Some((_, operation)) => Found::Operation(operation, names.iter().cloned().zip(values).collect()),
            None => Found::NoMethod(operations.iter().map(|(method, _)| method).collect()),
        }
    }

    /// The operation that was found before.
    pub fn operation(&self, id: OperationId) -> Option<&Operation> {
        self.paths.get(id.path)?.get(id.place).map(|(_, operation)| operation)
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.paths.iter().map(Vec::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
