//! rehearsals
