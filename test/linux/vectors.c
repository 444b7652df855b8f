/*
 * Loops that gcc turns into AVX2, FMA and F16C instructions with -O3 -march=x86-64-v3, and the intrinsics for those that it does not choose by itself.
 * What is printed depends on every bit of the results.
 */
#include <fenv.h>
#include <immintrin.h>
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N 96
#define COUNT 4096

static uint32_t state = 12345;
static uint32_t next(void) {
  state = state * 1664525 + 1013904223;
  return state >> 8;
}
static uint64_t sum(const void *data, size_t bytes) {
  const uint8_t *at = data;
  uint64_t hash = 0xcbf29ce484222325;
  while (bytes--) hash = (hash ^ *at++) * 0x100000001b3;
  return hash;
}
#define SHOW(name, data) printf("%-12s %016lx\n", name, sum(data, sizeof data))

static double a[N][N], b[N][N], c[N][N];
static float fa[N][N], fb[N][N], fc[N][N];

static void matrices(void) {
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) {
      fa[i][j] = a[i][j] = (next() % 2000 - 1000.0) / (1 + next() % 7);
      fb[i][j] = b[i][j] = (next() % 2000 - 1000.0) / (1 + next() % 9);
    }
  for (int i = 0; i < N; i++)
    for (int k = 0; k < N; k++)
      for (int j = 0; j < N; j++) {
        c[i][j] += a[i][k] * b[k][j];
        fc[i][j] += fa[i][k] * fb[k][j];
      }
  SHOW("double", c);
  SHOW("float", fc);
}

static int32_t words[COUNT], order[COUNT], picked[COUNT];
static uint8_t bytes[COUNT], upper[COUNT];
static int64_t wide[COUNT];
static float floats[COUNT];

static void integers(void) {
  for (int i = 0; i < COUNT; i++) {
    words[i] = next() - (1 << 23);
    order[i] = next() % COUNT;
    bytes[i] = next();
  }
  for (int i = 0; i < COUNT; i++) picked[i] = words[order[i]];
  SHOW("gather", picked);
  for (int i = 0; i < COUNT; i++) wide[i] = (int64_t)words[i] << (bytes[i] & 31);
  SHOW("shift", wide);
  for (int i = 0; i < COUNT; i++) upper[i] = bytes[i] >= 'a' && bytes[i] <= 'z' ? bytes[i] - 32 : bytes[i];
  SHOW("bytes", upper);
  for (int i = 0; i < COUNT; i++) floats[i] = words[i] > 0 ? sqrtf(words[i]) : words[i] / 3.0f;
  SHOW("convert", floats);
  int32_t best = words[0];
  for (int i = 1; i < COUNT; i++) best = words[i] > best ? words[i] : best;
  printf("maximum %d\n", best);
}

static void halves(void) {
  uint16_t half[COUNT];
  float back[COUNT];
  for (int i = 0; i < COUNT; i += 8)
    _mm_storeu_si128((__m128i *)(half + i), _mm256_cvtps_ph(_mm256_loadu_ps(floats + i), _MM_FROUND_TO_NEAREST_INT));
  for (int i = 0; i < COUNT; i += 8) _mm256_storeu_ps(back + i, _mm256_cvtph_ps(_mm_loadu_si128((__m128i *)(half + i))));
  SHOW("half", half);
  SHOW("from half", back);
}

static void lanes(void) {
  __m256i all = _mm256_loadu_si256((__m256i *)words);
  int32_t out[8] = {0};
  for (int i = 0; i < COUNT; i += 8) {
    __m256i v = _mm256_loadu_si256((__m256i *)(words + i));
    v = _mm256_permutevar8x32_epi32(v, all);
    v = _mm256_blend_epi32(v, _mm256_permute4x64_epi64(v, 0x1b), 0x5a);
    all = _mm256_add_epi32(_mm256_permute2x128_si256(all, v, 0x21), _mm256_sllv_epi32(v, _mm256_srli_epi32(all, 27)));
    _mm256_maskstore_epi32(out, v, all);
  }
  SHOW("lanes", out);
}

static void rounding(void) {
  static const int MODES[] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
  for (int mode = 0; mode < 4; mode++) {
    feclearexcept(FE_ALL_EXCEPT);
    fesetround(MODES[mode]);
    __m256d x = _mm256_set_pd(1.0 / 3, -1e-310, 1e300, 0.1), s = x;
    for (int i = 0; i < 100; i++) s = _mm256_fmadd_pd(s, x, _mm256_fnmadd_pd(x, x, s));
    printf("mode %d flags %x ", mode, fetestexcept(FE_ALL_EXCEPT));
    SHOW("fma", &s);
  }
  fesetround(FE_TONEAREST);
}

/* A handler that uses the registers: what was in them comes back. */
static volatile int handled;
static void handler(int number) {
  __m256i v = _mm256_set1_epi8((char)number);
  __asm__ volatile("vmovdqa %0, %%ymm3\n vmovdqa %0, %%ymm12" : : "x"(v) : "ymm3", "ymm12");
  handled++;
}
static void signals(void) {
  signal(SIGUSR1, handler);
  uint8_t kept[64];
  __asm__ volatile("vmovdqu (%0), %%ymm3\n vmovdqu 32(%0), %%ymm12\n"
                   "mov $39, %%eax\n syscall\n mov %%eax, %%edi\n mov $10, %%esi\n mov $62, %%eax\n syscall\n"
                   "vmovdqu %%ymm3, (%1)\n vmovdqu %%ymm12, 32(%1)"
                   :
                   : "r"(bytes), "r"(kept)
                   : "rax", "rcx", "r11", "rdi", "rsi", "ymm3", "ymm12", "memory");
  printf("handled %d, kept %d\n", handled, memcmp(kept, bytes, 64) == 0);
}

int main(void) {
  matrices();
  integers();
  halves();
  lanes();
  rounding();
  signals();
  return 0;
}
