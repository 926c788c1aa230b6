//! A real Suricata (7, of Debian's backports) that alerts on traffic crossing a veth, while retrotap records the same traffic at its other end.
