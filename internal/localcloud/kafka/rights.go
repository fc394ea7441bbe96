package kafka

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// need is what a kind of request takes.
type need struct {
	right Right
	// topics are those the right is needed for; nil means it is needed anywhere.
	topics func(b *Broker, q kmsg.Request) []string
	// refuse is the answer to somebody without the right; nil ends the connection.
	refuse func(q kmsg.Request) kmsg.Response
}

// open are requests that everybody may send who has signed in: metadata, finding a
// coordinator, a producer's number, telemetry.
var open = map[int16]bool{3: true, 10: true, 22: true, 60: true, 71: true, 72: true, 75: true}

// needs are the rights of the other requests. What is named nowhere takes Manage.
var needs = map[int16]need{
	0:  {Write, producedTopics, refuseProduce},
	1:  {Read, fetchedTopics, refuseFetch},
	2:  {Read, listedTopics, refuseList},
	8:  {Read, nil, nil},
	9:  {Read, nil, nil},
	11: {Read, nil, refuseJoin},
	12: {Read, nil, nil},
	13: {Read, nil, nil},
	14: {Read, nil, nil},
	15: {Read, nil, nil},
	16: {Read, nil, nil},
	19: {Manage, nil, refuseCreate},
	20: {Manage, nil, refuseDelete},
	23: {Read, nil, nil},
	24: {Write, nil, nil},
	25: {Write, nil, nil},
	26: {Write, nil, nil},
	28: {Write, nil, nil},
	32: {Read, nil, nil},
	68: {Read, nil, nil},
	69: {Read, nil, nil},
}

// judge holds a request to the session's rights: an answer refuses it, nil lets it
// through, an error ends the connection.
func (b *Broker) judge(s *Session, q *request) (kmsg.Response, error) {
	if open[q.key] {
		return nil, nil
	}
	n, known := needs[q.key]
	if !known {
		n = need{right: Manage}
	}
	if n.topics == nil && s.May(n.right, "") {
		return nil, nil
	}
	if err := q.decode(); err != nil {
		return nil, err
	}
	allowed := n.topics != nil
	if n.topics != nil {
		for _, topic := range n.topics(b, q.kind) {
			allowed = allowed && s.May(n.right, topic)
		}
	}
	switch {
	case allowed:
		return nil, nil
	case n.refuse == nil:
		return nil, fmt.Errorf("request %d is not allowed", q.key)
	}
	return n.refuse(q.kind), nil
}

// name finds a topic that newer requests call by number.
func (b *Broker) name(topic string, number [16]byte) string {
	if topic != "" {
		return topic
	}
	if info := b.cluster.TopicIDInfo(number); info != nil {
		return info.Topic
	}
	return "?" // no topic of that name can exist
}

func producedTopics(b *Broker, q kmsg.Request) (names []string) {
	for _, t := range q.(*kmsg.ProduceRequest).Topics {
		names = append(names, b.name(t.Topic, t.TopicID))
	}
	return names
}

func fetchedTopics(b *Broker, q kmsg.Request) (names []string) {
	for _, t := range q.(*kmsg.FetchRequest).Topics {
		names = append(names, b.name(t.Topic, t.TopicID))
	}
	return names
}

func listedTopics(_ *Broker, q kmsg.Request) (names []string) {
	for _, t := range q.(*kmsg.ListOffsetsRequest).Topics {
		names = append(names, t.Topic)
	}
	return names
}

var (
	noTopic = kerr.TopicAuthorizationFailed.Code
	noGroup = kerr.GroupAuthorizationFailed.Code
)

func refuseProduce(q kmsg.Request) kmsg.Response {
	response := kmsg.NewPtrProduceResponse()
	for _, t := range q.(*kmsg.ProduceRequest).Topics {
		topic := kmsg.NewProduceResponseTopic()
		topic.Topic, topic.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			partition := kmsg.NewProduceResponseTopicPartition()
			partition.Partition, partition.ErrorCode = p.Partition, noTopic
			topic.Partitions = append(topic.Partitions, partition)
		}
		response.Topics = append(response.Topics, topic)
	}
	return response
}

func refuseFetch(q kmsg.Request) kmsg.Response {
	response := kmsg.NewPtrFetchResponse()
	for _, t := range q.(*kmsg.FetchRequest).Topics {
		topic := kmsg.NewFetchResponseTopic()
		topic.Topic, topic.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			partition := kmsg.NewFetchResponseTopicPartition()
			partition.Partition, partition.ErrorCode = p.Partition, noTopic
			topic.Partitions = append(topic.Partitions, partition)
		}
		response.Topics = append(response.Topics, topic)
	}
	return response
}

func refuseList(q kmsg.Request) kmsg.Response {
	response := kmsg.NewPtrListOffsetsResponse()
	for _, t := range q.(*kmsg.ListOffsetsRequest).Topics {
		topic := kmsg.NewListOffsetsResponseTopic()
		topic.Topic = t.Topic
		for _, p := range t.Partitions {
			partition := kmsg.NewListOffsetsResponseTopicPartition()
			partition.Partition, partition.ErrorCode = p.Partition, noTopic
			topic.Partitions = append(topic.Partitions, partition)
		}
		response.Topics = append(response.Topics, topic)
	}
	return response
}

func refuseJoin(kmsg.Request) kmsg.Response {
	response := kmsg.NewPtrJoinGroupResponse()
	response.ErrorCode = noGroup
	return response
}

func refuseCreate(q kmsg.Request) kmsg.Response {
	response := kmsg.NewPtrCreateTopicsResponse()
	for _, t := range q.(*kmsg.CreateTopicsRequest).Topics {
		topic := kmsg.NewCreateTopicsResponseTopic()
		topic.Topic, topic.ErrorCode = t.Topic, noTopic
		response.Topics = append(response.Topics, topic)
	}
	return response
}

func refuseDelete(q kmsg.Request) kmsg.Response {
	request := q.(*kmsg.DeleteTopicsRequest)
	response := kmsg.NewPtrDeleteTopicsResponse()
	names := request.TopicNames
	for _, t := range request.Topics {
		if t.Topic != nil {
			names = append(names, *t.Topic)
		}
	}
	for _, name := range names {
		topic := kmsg.NewDeleteTopicsResponseTopic()
		topic.Topic, topic.ErrorCode = &name, noTopic
		response.Topics = append(response.Topics, topic)
	}
	return response
}
