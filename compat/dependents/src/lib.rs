//! Nothing: the dependencies are the point.
