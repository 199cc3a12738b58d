// CHECK(condition) and friends for tests that are programs: the first failure ends them.
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                        \
  do {                                                                          \
    if (!(condition)) {                                                         \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);   \
      exit(1);                                                                  \
    }                                                                           \
  } while (0)

#define CHECK_EQUAL(actual, expected)                                                                                       \
  do {                                                                                                                      \
    long long a_ = (long long)(actual), e_ = (long long)(expected);                                                         \
    if (a_ != e_) {                                                                                                         \
      fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #actual, a_, e_);                                \
      exit(1);                                                                                                              \
    }                                                                                                                       \
  } while (0)

#define CHECK_CONTAINS(text, part)                                                                   \
  do {                                                                                               \
    if (!strstr(text, part)) {                                                                       \
      fprintf(stderr, "%s:%d: '%s' does not contain '%s'\n", __FILE__, __LINE__, text, part);        \
      exit(1);                                                                                       \
    }                                                                                                \
  } while (0)
