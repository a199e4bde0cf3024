#include <cstdio>

int main() {
  std::printf("mtrank %s\n", MTRANK_VERSION);
  return 0;
}
