package connection

import "testing"

func TestSettingName(t *testing.T) {
	t.Parallel()
	custom := map[string]string{"AZURE_REDIS_HOST": "CACHE", "azure_redis_two_port": "CACHE_PORT", "AZURE_REDIS_SSL": ""}
	for _, row := range []struct {
		documented, infix string
		custom            map[string]string
		want              string
	}{
		{"AZURE_POSTGRESQL_HOST", "", nil, "AZURE_POSTGRESQL_HOST"},
		{"AZURE_POSTGRESQL_HOST", "conn2", nil, "AZURE_POSTGRESQL_CONN2_HOST"},
		{"CONFLUENTCLOUD_KAFKA_SASLUSERNAME", "C_2", nil, "CONFLUENTCLOUD_KAFKA_C_2_SASLUSERNAME"},
		{"spring.datasource.url", "CONN2", nil, "spring.datasource.url"},
		{"spring.a_b.c_d", "CONN2", nil, "spring.a_b.c_d"},
		{"AZURE_REDIS_HOST", "", custom, "CACHE"},
		{"AZURE_REDIS_HOST", "two", custom, "CACHE"},
		{"AZURE_REDIS_PORT", "two", custom, "CACHE_PORT"},
		{"AZURE_REDIS_PORT", "", custom, "AZURE_REDIS_PORT"},
		{"AZURE_REDIS_SSL", "", custom, "AZURE_REDIS_SSL"},
	} {
		if got := SettingName(row.documented, row.infix, row.custom); got != row.want {
			t.Errorf("%s with %q: got %s, want %s", row.documented, row.infix, got, row.want)
		}
	}
}
