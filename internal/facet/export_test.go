package facet

// What tests of this package's parts reach for.
var (
	Blocks  = blocks
	Ident   = ident
	Literal = literal
	SQLName = sqlName
	SQLSID  = sqlSID
	SQLGUID = sqlGUID
)
