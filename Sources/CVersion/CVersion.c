#include "CVersion.h"

const char *lcp_commit(void) { return LCP_COMMIT; }
