/* Loops over the instructions of x86-64-v2 and its neighbours, each family to a checksum; long enough to be translated. */
#include <immintrin.h>
#include <stdint.h>
#include <stdio.h>

#define LOOPS 4000
#define TARGET(set) __attribute__((target(set), noinline))

static uint64_t state = 88172645463325252u;
static uint64_t next(void) {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}
static __m128i vector(void) { return _mm_set_epi64x((long long)next(), (long long)next()); }
static void show(const char *name, __m128i sum) {
    uint64_t parts[2];
    _mm_storeu_si128((__m128i *)parts, sum);
    printf("%-10s %016llx%016llx\n", name, (unsigned long long)parts[1], (unsigned long long)parts[0]);
}

TARGET("ssse3,sse3") static void ssse3(void) {
    __m128i sum = _mm_setzero_si128();
    __m128d halves = _mm_setzero_pd();
    for (int i = 0; i < LOOPS; i++) {
        __m128i a = vector(), b = vector();
        sum = _mm_add_epi32(sum, _mm_shuffle_epi8(a, b));
        sum = _mm_xor_si128(sum, _mm_alignr_epi8(_mm_hadd_epi16(a, b), _mm_sign_epi32(b, a), 5));
        sum = _mm_add_epi16(sum, _mm_maddubs_epi16(_mm_abs_epi8(a), _mm_mulhrs_epi16(a, b)));
        halves = _mm_hadd_pd(halves, _mm_addsub_pd(_mm_set_pd(i, 2 * i), _mm_movedup_pd(_mm_set_sd(1.5))));
    }
    show("ssse3", _mm_xor_si128(sum, _mm_castpd_si128(halves)));
}

TARGET("sse4.2") static void sse4(void) {
    __m128i sum = _mm_setzero_si128();
    uint64_t crc = 1, index = 0;
    for (int i = 0; i < LOOPS; i++) {
        __m128i a = vector(), b = vector();
        sum = _mm_add_epi64(sum, _mm_blendv_epi8(_mm_cvtepi8_epi16(a), _mm_mullo_epi32(a, b), b));
        sum = _mm_xor_si128(sum, _mm_max_epu32(_mm_minpos_epu16(a), _mm_packus_epi32(a, b)));
        sum = _mm_insert_epi32(sum, _mm_extract_epi8(a, 3) + _mm_testz_si128(a, b), 2);
        sum = _mm_add_epi64(sum, _mm_castpd_si128(_mm_round_pd(_mm_set_pd(i * 0.37, -i * 1.71), _MM_FROUND_TO_NEG_INF)));
        sum = _mm_xor_si128(sum, _mm_castps_si128(_mm_dp_ps(_mm_set1_ps(i), _mm_set_ps(1, 2, 3, 4), 0x71)));
        sum = _mm_sub_epi8(sum, _mm_cmpgt_epi64(_mm_mpsadbw_epu8(a, b, 5), b));
        a = _mm_and_si128(a, _mm_set1_epi8(3));
        b = _mm_and_si128(b, _mm_set1_epi8(3));
        index += (unsigned)_mm_cmpistri(a, b, _SIDD_CMP_EQUAL_ORDERED) * 3u + (unsigned)_mm_cmpestri(a, i & 15, b, 16, 0x44);
        crc = _mm_crc32_u64(crc, next());
    }
    show("sse4", _mm_xor_si128(sum, _mm_set_epi64x((long long)crc, (long long)index)));
}

TARGET("bmi,bmi2,lzcnt,popcnt,adx,movbe") static void integers(void) {
    unsigned long long sum = 0, high = 0;
    unsigned char carry = 0;
    for (int i = 0; i < LOOPS; i++) {
        uint64_t a = next(), b = next();
        sum += (uint64_t)__builtin_popcountll(a) + _tzcnt_u64(a) * 3 + _lzcnt_u64(b >> (i & 63)) * 5 + _tzcnt_u32((uint32_t)i);
        sum ^= _pdep_u64(a, b) + _pext_u64(a, b) + _andn_u64(a, b) + _bextr_u64(a, i & 31, 17) + _bzhi_u64(b, (unsigned)i & 63);
        sum += _blsr_u64(a) ^ _blsi_u64(b) ^ _blsmsk_u64(a);
        sum ^= _mulx_u64(a, b, &high) + high;
        carry = _addcarryx_u64(carry, sum, a, &sum);
        sum = (sum >> (b & 63)) + (sum << (a & 63)) + (uint64_t)((int64_t)sum >> (i & 63)) + __builtin_bswap64(sum);
    }
    show("integers", _mm_set_epi64x((long long)high, (long long)sum));
}

TARGET("aes,pclmul,sse4.1,sha") static void ciphers(void) {
    __m128i block = vector(), key = vector(), other = vector();
    for (int i = 0; i < LOOPS; i++) {
        block = _mm_aesdec_si128(_mm_aesenc_si128(block, key), other);
        key = _mm_xor_si128(_mm_aeskeygenassist_si128(key, 0x1b), _mm_aesimc_si128(block));
        other = _mm_xor_si128(_mm_clmulepi64_si128(block, key, 0x10), _mm_aesenclast_si128(other, key));
        block = _mm_sha256rnds2_epu32(block, _mm_sha256msg1_epu32(key, other), _mm_sha256msg2_epu32(block, other));
        key = _mm_sha1rnds4_epu32(key, _mm_sha1nexte_epu32(block, other), 2);
        other = _mm_sha1msg2_epu32(_mm_sha1msg1_epu32(other, key), block);
    }
    show("ciphers", _mm_xor_si128(block, _mm_xor_si128(key, other)));
}

int main(void) {
    ssse3();
    sse4();
    integers();
    ciphers();
    return 0;
}
