#ifndef LCP_VERSION_H
#define LCP_VERSION_H

/// The commit that this was built from, as Package.swift found it; empty where it did not.
const char *lcp_commit(void);

#endif
