-- Tables, strings, closures, coroutines, integers and floats.
local words, seed = {}, 1
local function random(below) seed = (seed * 1103515245 + 12345) & 0x7fffffff; return (seed >> 8) % below end
for i = 1, 20000 do words[i] = string.format("%c%c%d", 97 + random(26), 97 + random(26), random(1000)) end
table.sort(words)
print(words[1], words[10000], words[20000], #table.concat(words, ","))
local count = {}
for _, word in ipairs(words) do local key = word:sub(1, 1); count[key] = (count[key] or 0) + 1 end
for c = 97, 122 do io.write(string.char(c), "=", count[string.char(c)], " ") end
print()
print(("hello world from lua"):gsub("(%w+)", string.upper), ("%5.2f|%x|%q"):format(math.pi, 3735928559, "a\nb"))
local function primes(n) return coroutine.wrap(function() local sieve = {} for i = 2, n do if not sieve[i] then coroutine.yield(i) for j = i * i, n, i do sieve[j] = true end end end end) end
local sum = 0
for p in primes(50000) do sum = sum + p end
print(sum, 7 // 2, -7 // 2, 7 % -3, 2^53, math.maxinteger + 1 == math.mininteger, 1e15, 0.1 + 0.2, 100 // 1e-3)
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
print(fib(24), select("#", table.unpack({1, 2, nil, 4}, 1, 4)), pcall(error, "e"), utf8.char(228, 8364, 128512))
