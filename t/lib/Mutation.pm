# Mutates JSON documents: first their structure (types, numbers, nesting, keys, strings, times), then, on demand, their
# bytes. The same seed gives the same documents, on any machine and with any perl.
#
# A document is a tree: a scalar is the text of a JSON token, [ARRAY => items] an array, [OBJECT => key, value, ...] an
# object whose keys are texts of tokens too, so that a tree can hold what JSON forbids.
package Mutation;
use strict;
use warnings FATAL => 'all';
use JSON::PP ();

my @numbers = qw(0 -0 -1 1 1.0 1.5 1e0 1e3 0.1 2147483647 2147483648 -2147483649 4294967296 9007199254740993 9223372036854775807
	9223372036854775808 -9223372036854775808 -9223372036854775809 18446744073709551616 1e19 1E+19 1e308 1e309 -1e400 1e-400 1e5000
	1e131071 1e131072 1e-16383 123456789012345678901234567890.123456789 01 +1 .5 1. NaN Infinity 0x10 1e 1e999999999999);
my @words = qw(null true false True nul "" [] {} [[]] [{}] {"":null} [null] "null" "true" "0" "-1" undefined);
my @strings = map { "\"$_\"" } '\u0000', 'a\u0000b', '\ud83d\ude00', '\ud83d', '\ude00', '\ude00\ud83d', '\ud800\u0041', '\uffff', '\u202e', '\u00', '\x41', '\\', '\\"', '\/', '\b\f\n\r\t', "\t", "\n",
	"\xc3\xa9", "e\xcc\x81", "\xf0\x9f\x98\x80", "\xed\xa0\x80", "\xc0\x80", "\xff", "\xf4\x90\x80\x80", "\xe2\x80\xa8", "\xef\xbb\xbf", "\x7f", "\x01", '%s%n%1$s', "'; DROP TABLE flowlens.settings; --",
	'{{7*7}}', '$1', '../../etc/passwd', ' ', 'a/b', '/', 'a/b/c', 'acme/r 1', "acme/\xc3\xa9", 'render', '(a*)*b', '[', '\\\\', '(?<=a)', '^\\\\p{L}+$', '#', '#/a~2', 'http://[::1', '-' x 70;
my @times = map { "\"$_\"" } '1969-12-31T23:59:59Z', '1970-01-01T00:00:00Z', '0001-01-01T00:00:00Z', '0000-01-01T00:00:00Z', '9999-12-31T23:59:59Z', '9999-12-31T23:59:59-23:59', '10000-01-01T00:00:00Z',
	'294276-12-31T23:59:59Z', '294277-01-01T00:00:00Z', '-4713-01-01T00:00:00Z', '2024-02-30T00:00:00Z', '2023-02-29T00:00:00Z', '2024-02-29T23:59:60Z', '2024-04-01T24:00:00Z', '2024-04-01', '2024-04-01T00:00:00',
	'2024-04-01T00:00:00.9999999999999999999Z', '2024-04-01T00:00:00+24:00', '2024-04-01T00:00:00+99:99', 'infinity', '-infinity', 'now', 'epoch', 'tomorrow', '1e9', '2038-01-19T03:14:08Z';
push @times, qw(0 -1 1711929600 1711929600.5 253402300799 253402300800 9223372036854775807 -62135596801 1e18 1e300);

sub new
{
	my ($class, $seed) = @_;
	return bless { state => $seed % 2147483647 || 1 }, $class;
}

# A number from 0 below a limit, from a generator of its own
sub below
{
	my ($self, $limit) = @_;
	$self->{state} = $self->{state} * 48271 % 2147483647;
	return int($self->{state} / 2147483647 * $limit);
}

# One of these
sub pick
{
	my ($self, @choices) = @_;
	return $choices[ $self->below(scalar @choices) ];
}

# Reads JSON into a tree
sub tree
{
	my ($json) = @_;
	my $decoded = JSON::PP->new->allow_nonref->allow_bignum->utf8->decode($json);
	my $convert;
	$convert = sub {
		my ($value) = @_;
		return [ 'ARRAY', map { $convert->($_) } @$value ] if ref $value eq 'ARRAY';
		return [ 'OBJECT', map { (_string($_), $convert->($value->{$_})) } sort keys %$value ] if ref $value eq 'HASH';
		return JSON::PP->new->allow_nonref->allow_bignum->utf8->encode($value);
	};
	return $convert->($decoded);
}

# Writes a string as a JSON token
sub _string
{
	return JSON::PP->new->allow_nonref->utf8->encode("$_[0]");
}

# Writes a tree as text
sub text
{
	my ($tree) = @_;
	return $tree if !ref $tree;
	my ($kind, @parts) = @$tree;
	return '[' . join(',', map { text($_) } @parts) . ']' if $kind eq 'ARRAY';
	my $result = '';
	while (@parts)
	{
		my ($key, $value) = splice(@parts, 0, 2);
		$result .= ($result eq '' ? '' : ',') . text($key) . ':' . text($value);
	}
	return "{$result}";
}

# Copies a tree
sub copy
{
	my ($tree) = @_;
	return ref $tree ? [ map { copy($_) } @$tree ] : $tree;
}

# Places in a tree where something can be put: [container, position], the top first
sub _places
{
	my ($tree, $places) = @_;
	return if !ref $tree;
	my $step = $tree->[0] eq 'OBJECT' ? 2 : 1;
	for (my $i = $step; $i < @$tree; $i += $step)
	{
		push @$places, [ $tree, $i ];
		_places($tree->[$i], $places);
	}
	return;
}

# Tells whether a token may stand in JSON
sub _is_json
{
	return $_[0] =~ /^(?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,4})?|null|true|false|\[\]|\{\}|"(?:[^"\\\x00-\x1f]|\\["\\\/bfnrt])*")$/s;
}

# A scalar that somebody did not expect; one in eight is not even JSON
sub hostile_scalar
{
	my ($self) = @_;
	my $list = $self->pick(\@numbers, \@words, \@strings, \@times, \@numbers, \@times);
	my $token = $self->pick(@$list);
	my $any = $self->below(8) == 0;
	$token = $self->pick(@$list) while !$any && !_is_json($token);
	return $token;
}

# Something large; now and then really large
sub large
{
	my ($self) = @_;
	my $size = $self->below(40) == 0 ? 100000 : 1 + $self->below(300);
	my $kind = $self->below(6);
	return '"' . ('x' x $size) . '"' if $kind == 0;
	return '"' . ("\xc3\xa9" x $size) . '"' if $kind == 1;
	return ('[' x $size) . (']' x $size) if $kind == 2;
	return ('{"a":' x $size) . '1' . ('}' x $size) if $kind == 3;
	return '{' . join(',', map { "\"k$_\":$_" } 1 .. $size) . '}' if $kind == 4;
	return '[' . join(',', 1 .. $size) . ']';
}

# Changes one place of a tree; returns the new tree
sub change_structure
{
	my ($self, $tree) = @_;
	my @places;
	_places($tree, \@places);
	return $self->hostile_scalar if !@places;
	my ($container, $position) = @{ $self->pick(@places) };
	my $is_object = $container->[0] eq 'OBJECT';
	my $action = $self->below(12);

	if ($action <= 3)
	{
		$container->[$position] = $self->hostile_scalar;
	}
	elsif ($action == 4)
	{
		$container->[$position] = $self->below(8) == 0 ? $self->large : $self->hostile_scalar;
	}
	elsif ($action == 5)		# remove
	{
		splice(@$container, $is_object ? $position - 1 : $position, $is_object ? 2 : 1);
	}
	elsif ($action == 6)		# the same key again, with another value; the last one counts
	{
		splice(@$container, $self->pick(1, scalar @$container), 0, $is_object ? (copy($container->[ $position - 1 ])) : (), $self->hostile_scalar);
	}
	elsif ($action == 7)		# an unknown key or another item
	{
		push @$container, $is_object ? ($self->pick('""', '"id"', '"zz"', '"\u0061"', '"a' . 'b' x $self->below(300) . '"', $self->pick('"\u0000"', '"\ud800"', '1', "\"\xff\"", '"\u00e9"'))) : (), $self->hostile_scalar;
	}
	elsif ($action == 8)		# wrapped
	{
		$container->[$position] = $self->below(2) ? [ 'ARRAY', $container->[$position] ] : [ 'OBJECT', '"a"', $container->[$position] ];
	}
	elsif ($action == 9)		# another place's value
	{
		my ($other, $there) = @{ $self->pick(@places) };
		my $value = copy($other->[$there]);
		$container->[$position] = $value if length(text($value)) < 20000;
	}
	elsif ($action == 10)		# the value as a string, or a string as what it says
	{
		my $text = text($container->[$position]);
		$container->[$position] = $text =~ /^"([^"\\]*)"$/ ? $1 : _string($text);
	}
	else
	{
		return [ 'ARRAY', $tree ] if $self->below(4) == 0;
		$container->[$position] = $self->hostile_scalar;
	}
	return $tree;
}

# Changes bytes of a text; returns the new one
sub change_bytes
{
	my ($self, $text) = @_;
	for (1 .. 1 + $self->below(3))
	{
		my $at = $self->below(length($text) + 1);
		my $action = $self->below(7);
		my $size = 1 + $self->below($self->pick(2, 20));

		if ($action == 0 && $at < length($text)) { substr($text, $at, 1) = chr(ord(substr($text, $at, 1)) ^ (1 << $self->below(8))); }
		elsif ($action == 1) { substr($text, $at, 0) = chr($self->below(256)); }
		elsif ($action == 2) { substr($text, $at, $size) = ''; }
		elsif ($action == 3) { substr($text, $at, 0) = substr($text, $at, $size); }
		elsif ($action == 4) { $text = substr($text, 0, $at); }
		elsif ($action == 5) { substr($text, $at, 0) = $self->pick("\0", "\xc0\xaf", "\xed\xa0\x80", "\xf8\x88\x80\x80\x80", "\xef\xbb\xbf", "\xff\xfe", '\\u0000', '\\ud800', '"', '{', ']', ',', "\x1b"); }
		else { $text .= $self->pick(' ', 'x', '}', "\0", '{}'); }
	}
	return $text;
}

# A mutated document from a tree
sub document
{
	my ($self, $template) = @_;
	my $tree = copy($template);
	for (1 .. $self->pick(0, 1, 1, 1, 2, 2, 3, 6))
	{
		$tree = $self->change_structure($tree);
	}
	my $text = text($tree);
	return $self->below(6) == 0 ? $self->change_bytes($text) : $text;
}

1;
