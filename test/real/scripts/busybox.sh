# Applets of busybox in pipes; $1 is busybox.
b=$1
d=$($b mktemp -d) || exit 1
cd "$d" || exit 1
$b seq 1 4000 | $b awk '{ s = (s * 1103515245 + 12345) % 2147483648; printf "%d %c%c line %d\n", s % 9973, 97 + s % 26, 97 + int(s / 26) % 26, NR }' > data
for sum in md5sum sha1sum sha256sum sha512sum sha3sum crc32; do $b $sum < data; done
$b sort -n data | $b head -5
$b sort -k2,2 -k1,1nr data | $b uniq -c -f1 | $b tail -3
$b cut -d' ' -f2 data | $b sort | $b uniq -c | $b sort -rn | $b head -4
$b tr a-z A-Z < data | $b sed -n '7,9{s/LINE/row/;p}'
$b grep -c 'aa' data; $b grep -E '^[0-9]{3} (ab|cd)' data | $b head -3
$b wc data; $b od -A d -t x1 data | $b head -3; $b hexdump -C data | $b tail -2
for pack in gzip bzip2; do $b $pack -c data > data.$pack; $b wc -c < data.$pack; $b $pack -dc data.$pack | $b cmp - data && echo "$pack ok"; done
$b tar cf all.tar data data.gzip && $b tar tf all.tar && $b mkdir out && $b tar xf all.tar -C out && $b cmp data out/data && echo tar ok
$b base64 data | $b head -2; $b base64 data | $b base64 -d | $b md5sum
$b head -100 data > one; $b sed '50d;70s/line/LINE/' one > two; $b diff one two; $b diff -u one two | $b sed '1,2d' > change; $b patch one change > /dev/null && $b cmp one two && echo patched
echo '2^200; scale=40; 4*a(1); sqrt(2)' | $b bc -l
echo '3 4 + p 2 100 ^ p' | $b dc
$b factor 600851475143 1000000007 9007199254740993
$b expr 17 \* 23; $b cal 2 2024; $b printf '%08.3f %x %o\n' 3.14159 255 8
$b find . -type f | $b sort; $b ls out; $b stat -c '%s %a' data
$b awk 'BEGIN { for (i = 0; i < 2000; i++) { t += (i % 13) / 7; a[i % 17] += i } printf "%.10f %d\n", t, a[3]; print length("abc"), substr("hello", 2, 3), toupper("x"), match("foobar", /o+/), RLENGTH }'
$b echo a b c | $b xargs -n1 $b echo item; $b rev one | $b tail -1; $b tac one | $b head -1; $b nl one | $b sed -n 7p; $b fold -w 20 one | $b head -2
$b dd if=data bs=512 count=3 2>/dev/null | $b md5sum
(for i in 1 2 3; do echo "job $i" & wait; done); trap 'echo caught' USR1; kill -USR1 $$; echo "status $?"
cd / && $b rm -r "$d"
