//! exact questions
