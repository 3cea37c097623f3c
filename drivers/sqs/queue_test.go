package sqs

import "testing"

func TestAddressOf(t *testing.T) {
	for url, want := range map[string][2]string{
		"https://sqs.eu-west-1.amazonaws.com/1/q":               {"https://sqs.eu-west-1.amazonaws.com", "eu-west-1"},
		"https://sqs.cn-north-1.amazonaws.com.cn/1/q":           {"https://sqs.cn-north-1.amazonaws.com.cn", "cn-north-1"},
		"https://sqs-fips.us-gov-west-1.amazonaws.com/1/q":      {"https://sqs-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"},
		"https://sqs.eu-west-1.api.aws/1/q":                     {"https://sqs.eu-west-1.api.aws", "eu-west-1"},
		"https://vpce-1.sqs.eu-west-1.vpce.amazonaws.com/1/q":   {"https://vpce-1.sqs.eu-west-1.vpce.amazonaws.com", "eu-west-1"},
		"https://eu-west-1.queue.amazonaws.com/1/q":             {"", "eu-west-1"},
		"https://queue.amazonaws.com/1/q":                       {"", "us-east-1"},
		"http://127.0.0.1:4566/000000000000/q":                  {"http://127.0.0.1:4566", ""},
		"http://sqs.us-east-1.localhost.localstack.cloud:4566/": {"http://sqs.us-east-1.localhost.localstack.cloud:4566", ""},
		"https://queue.example.com/1/q":                         {"https://queue.example.com", ""},
		"":                                                      {"", ""},
	} {
		if endpoint, region := addressOf(url); endpoint != want[0] || region != want[1] {
			t.Errorf("%s is at %q in %q, want %q", url, endpoint, region, want)
		}
	}
}
