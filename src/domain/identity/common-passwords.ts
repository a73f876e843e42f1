/**
 * The most used passwords that the length rule alone would let through (8 characters or more), lower case.
 * Small on purpose: it stops the guesses every attacker tries first; a breach check is a feature of its own.
 */
const LISTED = `
password password1 password12 password123 password1234 password! passw0rd p@ssw0rd p@ssword pa55word passwort
12345678 123456789 1234567890 12345678910 123456789a 123456789q 0123456789 0987654321 987654321 9876543210 87654321
11111111 111111111 1111111111 00000000 000000000 0000000000 22222222 33333333 44444444 55555555 66666666 77777777
88888888 888888888 99999999 999999999 12341234 11223344 1122334455 112233445566 12121212 13131313 10203040 147258369
123123123 123321123 321321321 123454321 1234554321 12344321 1q2w3e4r 1q2w3e4r5t 1q2w3e4r5t6y 1qaz2wsx 1qaz2wsx3edc
1qazxsw2 q1w2e3r4 q1w2e3r4t5 qwertyui qwertyuiop qwerty12 qwerty123 qwerty1234 qwerty12345 qwerty123456 123qwerty
qwer1234 qweasdzxc qazwsxedc qazwsx123 zaq12wsx zaq1xsw2 asdfghjk asdfghjkl asdfasdf asdf1234 zxcvbnm1 zxcvbnm123
zxcvbnm, 1234qwer 12qwaszx abcd1234 abc12345 abc123456 abcdefgh abcdefg1 a1234567 a12345678 a123456789 a1b2c3d4 aa123456
aa12345678 iloveyou iloveyou1 iloveyou2 iloveyou! ilovehim iloveher lovelove loveyou1 sunshine sunshine1 princess
princess1 football football1 baseball baseball1 basketball softball superman superman1 batman123 spiderman starwars
startrek trustno1 whatever whatever1 computer computer1 internet samsung1 samsung123 microsoft corvette mercedes
ferrari1 mustang1 chelsea1 liverpool liverpool1 arsenal1 barcelona realmadrid juventus manchester jordan23 michael1
michelle jennifer jessica1 jonathan christian christopher alexander alexandra elizabeth nicholas benjamin samantha
victoria veronica danielle danielle1 stephanie patricia charlie1 charlotte hello123 hellohello welcome1 welcome12
welcome123 welcome1234 letmein1 letmein123 letmein! changeme changeme1 changeme123 changeit default1 default123 secret12
secret123 topsecret administrator admin123 admin1234 admin12345 admin123456 adminadmin rootroot root1234 toor1234
test1234 test12345 test123456 testtest testing1 testing123 guest123 user1234 username qwertyqwerty master12 master123
masterkey dragon12 dragon123 monkey12 monkey123 monkeyking shadow12 shadow123 pokemon1 pokemon123 nintendo playstation
minecraft minecraft1 fortnite roblox123 naruto123 slipknot metallica nirvana1 blink182 greenday linkinpark butterfly
butterfly1 chocolate chocolate1 cookie123 peanut12 pumpkin1 banana123 cheese123 tigger12 snoopy12 garfield scooby12
mickey12 kitty123 hellokitty angel123 angels12 babygirl babygirl1 babyboy1 sweetheart precious blessed1 jesus123
jesuschrist godisgood lovely12 friends1 forever1 together familia1 familyfirst mylove123 myspace1 facebook facebook1
google123 linkedin twitter1 youtube1 hunter12 hunter123 hunter22 ranger12 cowboys1 steelers patriots packers1 yankees1
lakers24 redskins marlboro budweiser jackdaniels harley12 yamaha12 president america1 canada123 december november
september february summer12 summer123 summer2023 summer2024 summer2025 winter12 winter123 winter2023 winter2024
winter2025 spring123 autumn123 january1 monday12 friday13 p@ssw0rd1 p@ssw0rd123 passw0rd1 password01 password2
password11 password99 password2023 password2024 password2025 correcthorse correcthorsebatterystaple thisisapassword
mypassword mypassword1 yourpassword nopassword newpassword oldpassword temppass temporary logmein1 access14 access123
asdfqwer zxcvasdf poiuytrewq lkjhgfdsa mnbvcxz1 qwertz123 azertyuiop azerty123 motdepasse contrasena senha123 hallo123
schalke04 passwort1 geheim123 qwerty!@ !qaz2wsx !@#$%^&* 1234567a 1234567q 12345678a 12345678q 123456qwerty 123456abc
123456aa 123abc123 789456123 741852963 963852741 159753456 159357258 147852369 258456789 31415926 314159265 27182818
`;

export const COMMON_PASSWORDS: ReadonlySet<string> = new Set(LISTED.split(/\s+/).filter((word) => word !== ''));
