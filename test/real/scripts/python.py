# Many modules on data that a seed makes; everything printed is the same on every run.
import collections, datetime, decimal, fractions, hashlib, itertools, json, math, random, re, statistics, string, struct, sys, textwrap, unicodedata, zlib

print(sys.version_info[:3], sys.maxsize)
random.seed(42)
data = [{"id": i, "name": "n%05d" % random.randrange(99999), "v": random.random(), "tags": [chr(97 + random.randrange(26)) for _ in range(5)]} for i in range(3000)]
text = json.dumps(data, sort_keys=True)
for name in ("md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b", "blake2s"):
    print(name, hashlib.new(name, text.encode()).hexdigest() if name in hashlib.algorithms_available else "absent")
print(json.loads(text) == data, zlib.crc32(text.encode()), zlib.adler32(text.encode()), hashlib.md5(zlib.compress(text.encode(), 9)).hexdigest())
print(zlib.decompress(zlib.compress(text.encode())) == text.encode())
words = re.findall(r'"name": "n(\d+)"', text)
print(collections.Counter(word[:2] for word in words).most_common(5), re.sub(r"(\d)(\d)", r"\2\1", words[0]))
print(sorted(data, key=lambda row: (row["tags"], -row["v"]))[:2])
decimal.getcontext().prec = 60
print(decimal.Decimal(2).sqrt(), decimal.Decimal(1) / 7, decimal.Decimal("1e-20").exp())
print(math.fsum(math.sin(i) for i in range(1000)), math.gamma(5.5), math.erf(0.3), 1e308 * 10, float("nan"))
print([f(0.1 * i) for i in range(1, 9) for f in (math.exp, math.log, math.tan, math.atan, math.sinh, math.cbrt, math.lgamma)])
print(struct.pack("<dfQ", 1.5, 2.25, 2**63), (2**521 - 1) % 10**30, pow(3, 10**6, 10**9 + 7), math.factorial(300) % 10**40)
print(datetime.date(2024, 2, 29) + datetime.timedelta(365), sum(1 for _ in itertools.permutations(range(8))))
print(fractions.Fraction(355, 113) ** 5, statistics.stdev(row["v"] for row in data), unicodedata.normalize("NFKD", "Ǻé"))
print(textwrap.fill(string.printable * 3, 60))
