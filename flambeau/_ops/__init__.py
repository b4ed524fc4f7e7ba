"""The operations, a module a family. Importing the package fills the op table."""
