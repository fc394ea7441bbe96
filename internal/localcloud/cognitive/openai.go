package cognitive

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/patchbay/patchbay/internal/localcloud/provider"
)

// bodyLimit is more than a small chat needs.
const bodyLimit = 1 << 20

// baseModels are the models an account lists, by id.
var baseModels = []string{"gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18", "text-embedding-3-small-1"}

func model(name string) map[string]any {
	return map[string]any{"id": name, "object": "model", "status": "succeeded", "lifecycle_status": "generally-available",
		"capabilities": map[string]any{"inference": true, "chat_completion": strings.HasPrefix(name, "gpt"), "embeddings": strings.Contains(name, "embedding")}}
}

func listModels(_ *plane, w http.ResponseWriter, _ *http.Request) {
	data := []any{}
	for _, name := range baseModels {
		data = append(data, model(name))
	}
	writeJSON(w, map[string]any{"object": "list", "data": data})
}

func oneModel(_ *plane, w http.ResponseWriter, r *http.Request) {
	for _, name := range baseModels {
		if name == r.PathValue("model") {
			writeJSON(w, model(name))
			return
		}
	}
	refuse(w, notThere)
}

func visionModels(_ *plane, w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, map[string]any{"models": []any{
		map[string]any{"name": "celebrities", "categories": []string{"people_"}},
		map[string]any{"name": "landmarks", "categories": []string{"outdoor_", "building_"}},
	}})
}

// chat answers with the last thing a user said.
func chat(p *plane, w http.ResponseWriter, r *http.Request) {
	deployment, ok := p.cloud.Store().Get(p.id + "/deployments/" + r.PathValue("deployment"))
	if !ok {
		refuse(w, noDeployment)
		return
	}
	var asked struct {
		Messages []struct{ Role, Content string }
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, bodyLimit)).Decode(&asked); err != nil || len(asked.Messages) == 0 {
		refuse(w, badBody)
		return
	}
	said, words := "", 0
	for _, m := range asked.Messages {
		words += len(strings.Fields(m.Content))
		if m.Role == "user" {
			said = m.Content
		}
	}
	answered := len(strings.Fields(said))
	writeJSON(w, map[string]any{
		"id": "chatcmpl-" + uuid.NewString(), "object": "chat.completion", "created": p.cloud.Now().Unix(),
		"model":   provider.Text(deployment, "properties", "model", "name"),
		"choices": []any{map[string]any{"index": 0, "finish_reason": "stop", "message": map[string]any{"role": "assistant", "content": said}}},
		"usage":   map[string]any{"prompt_tokens": words, "completion_tokens": answered, "total_tokens": words + answered},
	})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a client that has gone needs no answer
}
