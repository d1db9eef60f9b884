// What a test and the accept_faults library, which it loads into the daemon, have in common: a file
// that both map. C and C++; every access is one of the __atomic built-ins.
#pragma once

#define ACCEPT_FAULTS_VARIABLE "ACCEPT_FAULTS"  // The environment variable that names the file.

struct AcceptFaults {
  int error;          // The errno with which accept4(2) fails; 0: it does not.
  int every;          // Only every so many calls (ECONNABORTED: connections); 0 and 1: each.
  unsigned calls;     // So far, of all kinds.
  unsigned failures;  // Of those, how many failed by this.
};
