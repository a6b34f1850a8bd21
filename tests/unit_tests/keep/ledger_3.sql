-- A ledger of the schema before seals: capacity 2, policies LRU and LEC, about embedder mini; a, b
-- and c were admitted, b and c used, b1 and c1 are aliases, b was used by its own; a is a ghost, and b
-- and d differ.
BEGIN TRANSACTION;
CREATE TABLE about (
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "about" VALUES('schema','3');
INSERT INTO "about" VALUES('embedder','mini');
INSERT INTO "about" VALUES('policy','[(LRU(), inf), (LEC(half_life=inf, prior=0.0), inf)]');
INSERT INTO "about" VALUES('half-lives','[Infinity]');
CREATE TABLE books (
	id INTEGER NOT NULL, 
	now BIGINT NOT NULL, 
	held INTEGER NOT NULL, 
	size BIGINT NOT NULL, 
	slots INTEGER NOT NULL, 
	leader INTEGER NOT NULL, 
	ghosts INTEGER NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "books" VALUES(1,6,2,2,4,0,1);
CREATE TABLE differences (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	one TEXT NOT NULL, 
	other TEXT NOT NULL, 
	UNIQUE (one, other)
);
INSERT INTO "differences" VALUES(1,'b','d');
CREATE TABLE entries (
	"key" TEXT NOT NULL, 
	slot INTEGER NOT NULL, 
	cost DOUBLE NOT NULL, 
	size BIGINT NOT NULL, 
	counts JSON NOT NULL, 
	last BIGINT NOT NULL, 
	PRIMARY KEY ("key"), 
	UNIQUE (slot)
);
INSERT INTO "entries" VALUES('b',1,5.0,1,'[3.0]',6);
INSERT INTO "entries" VALUES('c',0,2.0,1,'[2.0]',5);
CREATE TABLE free_slots (
	slot INTEGER NOT NULL, 
	PRIMARY KEY (slot)
);
CREATE TABLE ghosts (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	"key" TEXT NOT NULL, 
	counts JSON NOT NULL, 
	last BIGINT NOT NULL, 
	UNIQUE ("key")
);
INSERT INTO "ghosts" VALUES(1,'a','[1.0]',1);
CREATE TABLE payloads (
	"key" TEXT NOT NULL, 
	partition TEXT NOT NULL, 
	text TEXT NOT NULL, 
	vector BLOB, 
	answer TEXT NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "payloads" VALUES('b','s:c','B',X'0000003F000080BE','["x"]');
INSERT INTO "payloads" VALUES('c','s:c','C',X'0000003F000080BE','["x"]');
CREATE TABLE shadows (
	place INTEGER NOT NULL, 
	size BIGINT NOT NULL, 
	loss DOUBLE NOT NULL, 
	victim_worth DOUBLE, 
	PRIMARY KEY (place)
);
INSERT INTO "shadows" VALUES(0,2,7.99928378074335277858e+00,1.0);
INSERT INTO "shadows" VALUES(1,2,7.99928378074335277858e+00,0.0);
CREATE TABLE standings (
	"key" TEXT NOT NULL, 
	place INTEGER NOT NULL, 
	size BIGINT NOT NULL, 
	uses DOUBLE NOT NULL, 
	last BIGINT NOT NULL, 
	worth DOUBLE NOT NULL, 
	PRIMARY KEY ("key", place)
);
INSERT INTO "standings" VALUES('b',0,1,3.0,6,6.0);
INSERT INTO "standings" VALUES('b',1,1,3.0,6,3.90689059560851870145e+00);
INSERT INTO "standings" VALUES('c',0,1,2.0,5,5.0);
INSERT INTO "standings" VALUES('c',1,1,2.0,5,2.0);
CREATE TABLE strays (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	place INTEGER NOT NULL, 
	"key" TEXT NOT NULL, 
	UNIQUE ("key", place)
);
CREATE TABLE wordings (
	"key" TEXT NOT NULL, 
	"of" TEXT NOT NULL, 
	size BIGINT NOT NULL, 
	slot INTEGER NOT NULL, 
	turn BIGINT NOT NULL, 
	text TEXT NOT NULL, 
	vector BLOB, 
	PRIMARY KEY ("key"), 
	UNIQUE (slot), 
	UNIQUE (turn)
);
INSERT INTO "wordings" VALUES('b1','b',0,2,3,'B?',X'000000BF0000803E');
INSERT INTO "wordings" VALUES('c1','c',0,3,2,'C?',X'0000003F000080BE');
CREATE INDEX least ON standings (place, worth, last);
CREATE INDEX first ON strays (place, id);
CREATE INDEX ix_wordings_of ON wordings ("of");
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('strays',2);
INSERT INTO "sqlite_sequence" VALUES('ghosts',1);
INSERT INTO "sqlite_sequence" VALUES('differences',1);
COMMIT;
