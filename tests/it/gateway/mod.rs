//! The gateway: what it carries, what it never carries, and what it does when things break.

mod upstream_http;
