#include "tests/support/framing_corpus.h"

#include "tests/support/framing_corpus_parts.h"

namespace bsockd::testing {

std::vector<CorpusCase> FramingCorpus() {
  std::vector<CorpusCase> corpus;
  AddDelimitedCases(&corpus);
  AddLengthCases(&corpus);
  AddCountedCases(&corpus);
  return corpus;
}

}  // namespace bsockd::testing
