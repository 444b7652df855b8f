/* libcrypto over fixed data: digests, ciphers, big numbers and elliptic curves. It chooses its code by CPUID. */
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <stdio.h>
#include <string.h>

static unsigned char data[65536], out[65536 + 64];

static void show(const char *name, const unsigned char *bytes, size_t count) {
    printf("%-20s ", name);
    for (size_t i = 0; i < count; i++) printf("%02x", bytes[i]);
    printf("\n");
}

static void digest(const char *name) {
    unsigned char value[64];
    unsigned length = 0;
    EVP_MD *method = EVP_MD_fetch(0, name, 0);
    if (!method) return;
    for (size_t size = 0; size <= sizeof data; size = size * 3 + 1) {
        EVP_Digest(data, size, value, &length, method, 0);
        show(name, value, length);
    }
    EVP_MD_free(method);
}

static void cipher(const char *name) {
    static const unsigned char key[64] = "0123456789abcdef0123456789ABCDEFfedcba9876543210FEDCBA9876543210", iv[16] = "initial vector..";
    unsigned char value[64], tag[16];
    unsigned length = 0;
    int bytes = 0, last = 0;
    EVP_CIPHER *method = EVP_CIPHER_fetch(0, name, 0);
    if (!method) return;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    EVP_EncryptInit_ex2(context, method, key, iv, 0);
    EVP_EncryptUpdate(context, out, &bytes, data, sizeof data - 5);
    EVP_EncryptFinal_ex(context, out + bytes, &last);
    EVP_Digest(out, (size_t)(bytes + last), value, &length, EVP_sha256(), 0);
    show(name, value, length);
    if (EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, tag) > 0) show("  tag", tag, 16);
    EVP_CIPHER_CTX_free(context);
    EVP_CIPHER_free(method);
}

static void power(int bits) {
    unsigned char value[512];
    BN_CTX *context = BN_CTX_new();
    BIGNUM *base = BN_bin2bn(data, bits / 8, 0), *exponent = BN_bin2bn(data + 1000, bits / 8, 0), *modulus = BN_bin2bn(data + 2000, bits / 8, 0);
    BIGNUM *result = BN_new();
    BN_set_bit(modulus, 0);
    BN_set_bit(modulus, bits - 1);
    BN_mod_exp(result, base, exponent, modulus, context);
    BN_bn2binpad(result, value, bits / 8);
    show("power", value, (size_t)bits / 8);
    BN_mod_exp_mont_consttime(result, base, exponent, modulus, context, 0);
    BN_bn2binpad(result, value, bits / 8);
    show("power, constant time", value, (size_t)bits / 8);
}

static void curve(int identity) {
    BN_CTX *context = BN_CTX_new();
    EC_GROUP *group = EC_GROUP_new_by_curve_name(identity);
    EC_POINT *point = EC_POINT_new(group);
    BIGNUM *scalar = BN_bin2bn(data + 3000, 32, 0);
    EC_POINT_mul(group, point, scalar, 0, 0, context);
    EC_POINT_mul(group, point, 0, point, scalar, context);
    printf("%-20s %s\n", OBJ_nid2sn(identity), EC_POINT_point2hex(group, point, POINT_CONVERSION_UNCOMPRESSED, context));
}

int main(void) {
    unsigned state = 1;
    for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)((state = state * 1103515245u + 12345u) >> 16);
    static const char *const digests[] = {"MD5", "SHA1", "SHA224", "SHA256", "SHA384", "SHA512", "SHA3-256", "SHAKE128", "BLAKE2b512", "BLAKE2s256", "SM3", "RIPEMD160"};
    for (size_t i = 0; i < sizeof digests / sizeof *digests; i++) digest(digests[i]);
    static const char *const ciphers[] = {"AES-128-CBC", "AES-256-CTR", "AES-128-ECB", "AES-256-GCM", "AES-128-CCM", "AES-256-XTS", "AES-128-OCB",
                                          "ChaCha20", "ChaCha20-Poly1305", "CAMELLIA-256-CBC", "ARIA-128-CTR", "DES-EDE3-CBC", "SM4-CTR"};
    for (size_t i = 0; i < sizeof ciphers / sizeof *ciphers; i++) cipher(ciphers[i]);
    power(1024);
    power(2048);
    power(4096);
    curve(NID_X9_62_prime256v1);
    curve(NID_secp384r1);
    curve(NID_secp521r1);
    curve(NID_secp256k1);
    return 0;
}
