#ifndef LCP_VERSION_H
#define LCP_VERSION_H

/// The commit that this was built from; empty where nobody told Package.swift.
const char *lcp_commit(void);

#endif
