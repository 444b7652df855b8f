-- Tables, indexes, joins, windows, recursion, JSON, full-text search and transactions.
CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL, kind INTEGER);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
INSERT INTO item SELECT i, printf('item %05d', i * 7919 % 5000), i * 1.25, i % 7 FROM n;
CREATE INDEX by_name ON item (name);
SELECT count(*), sum(price), avg(price), min(name), max(name) FROM item;
SELECT kind, count(*), round(sum(price), 2), group_concat(id) FROM (SELECT * FROM item ORDER BY name LIMIT 40) GROUP BY kind;
SELECT id, name, row_number() OVER (PARTITION BY kind ORDER BY price DESC) AS place FROM item WHERE id < 20 ORDER BY kind, place;
WITH RECURSIVE x(a, b) AS (SELECT 0, 1 UNION ALL SELECT b, a + b FROM x LIMIT 60) SELECT group_concat(a, ' ') FROM x;
SELECT a.name, b.name FROM item a JOIN item b ON a.id = b.id * 2 WHERE b.kind = 3 ORDER BY a.name LIMIT 5;
BEGIN; UPDATE item SET price = price * 2 WHERE kind = 1; SELECT sum(price) FROM item; ROLLBACK; SELECT sum(price) FROM item;
SELECT json_extract('{"a":[1,2,{"b":"c"}]}', '$.a[2].b'), json_group_array(id) FROM item WHERE id < 5;
CREATE VIRTUAL TABLE note USING fts5(body);
INSERT INTO note SELECT name || ' of kind ' || kind FROM item;
SELECT count(*) FROM note WHERE note MATCH 'kind AND 3';
CREATE VIRTUAL TABLE box USING rtree(id, x0, x1, y0, y1);
INSERT INTO box SELECT id, id % 70, id % 70 + 3, id / 70, id / 70 + 3 FROM item;
SELECT count(*) FROM box WHERE x0 > 10 AND x1 < 30 AND y0 > 5 AND y1 < 40;
SELECT quote(zeroblob(3)), 1e300 * 1e10, 1.0 / 3, 9223372036854775807 + 1, typeof('a' + 1), unicode('é'), upper('straße');
PRAGMA integrity_check;
EXPLAIN QUERY PLAN SELECT * FROM item WHERE name = 'item 00042';
